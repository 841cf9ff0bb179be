"""``jaxnext serve``: answer images by HTTP, and on a page on which they are dropped."""

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Literal, get_type_hints

from jaxnext.cli.console import say
from jaxnext.cli.interrupt import stop_on_interrupt
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, arguments_of, check_least, descriptions, given
from jaxnext.cli.paths import path
from jaxnext.cli.trained_options import TrainedArguments, add_threshold, classifier, threshold_of
from jaxnext.errors import JaxnextError, UsageError, one_line
from jaxnext.inference.serving.limits import Limits
from jaxnext.inference.tta import NO_TTA

_LIBRARIES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")
_STOPPING = "answering what was asked; press Ctrl-C again to stop at once"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    host: str
    port: int
    wait_ms: float
    threshold: float | Literal["calibrated"] | None
    explain: bool
    allowed_hosts: tuple[str, ...] | None
    stop_seconds: float
    limits: Limits


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN [--port 8000] [--host 127.0.0.1] [--OPTION VALUE ...]"
    about = (
        "Answer images by HTTP: a page at / on which they are dropped, POST /predict, /healthz, /metrics and "
        "/openapi.json. Nothing that is sent is kept. Only this machine is answered unless --host says otherwise."
    )
    parser = Parser(invocation.usage("serve"), usage, about)
    parser.add_argument("checkpoint", metavar="run", nargs="*", help="folder of a run")
    parser.option("host", str, "name or address that it is bound to; 0.0.0.0: any machine may ask", "127.0.0.1")
    parser.option("port", int, "0: any that is free", 8000)
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    text = "that logits are divided by; calibrated: what jaxnext calibrate has found"
    parser.option("temperature", float | Literal["calibrated"], text, 1.0)
    add_threshold(parser)
    parser.option("explain", bool, "false: without pictures of where the net looks, and ready a little sooner", True)
    parser.option("batch_size", int, "images computed at a time at most", 16)
    parser.option("wait_ms", float, "milliseconds for which a batch that is not full waits for more images", 4.0)
    size = "pixels on each side that images are resized to, or [height, width]; null: as in validation"
    parser.option("image_size", int | tuple[int, ...] | None, size)
    text = "names that the server has besides localhost and --host, in a list; '*' for any; others are refused"
    parser.option("allowed_hosts", tuple[str, ...] | None, text)
    parser.option("stop_seconds", float, "for which Ctrl-C and SIGTERM wait for what was asked before", 10.0)
    limits, hints = descriptions(Limits), get_type_hints(Limits)
    for field in dataclasses.fields(Limits):
        parser.option(field.name, hints[field.name], limits[field.name], field.default)
    parser.compilation_cache()
    values = parser.parse(argv)
    values["checkpoint"] = values["checkpoint"] or None
    runs = given(values, "checkpoint", "give the folder of a run", "RUN")
    if len(runs) > 1:
        raise UsageError(f"RUN: expected the folder of one run, found {len(runs)}")
    check_least(values, batch_size=1, port=0, max_bytes=1, max_pixels=1, max_files=1, queue=1, waiting_bytes=1)
    if values["port"] > 65535:
        raise UsageError(f"--port: expected at most 65535, found {values['port']}")
    for key, most in (("wait_ms", 10_000.0), ("stop_seconds", 3600.0)):
        if not 0 <= values[key] <= most:
            raise UsageError(f"--{key}: expected a number from 0 to {most:g}, found {values[key]:g}")
    for key in ("rate", "body_seconds"):
        if values[key] is not None and not 0 < values[key] < float("inf"):
            raise UsageError(f"--{key}: expected a number above 0, found {values[key]:g}")
    # Else no request of the largest size could ever be read, or none with the most images.
    for most, least in (("waiting_bytes", "max_bytes"), ("queue", "max_files")):
        if values[most] < values[least]:
            raise UsageError(f"--{most}: expected at least --{least}, which is {values[least]}, found {values[most]}")
    return arguments_of(
        Arguments,
        values,
        checkpoint=[path("RUN", text) for text in runs],
        limits=arguments_of(Limits, values),
        workers=None,
        ensemble="probabilities",
        tta=NO_TTA,
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command until it is stopped; return the exit status."""
    arguments = parse(argv, invocation)
    _check_libraries()
    from jaxnext.inference.serving.server import address_of, bind, serve

    # Before the net is loaded, so that a port in use is said at once.
    bound = bind(arguments.host, arguments.port)
    with bound, classifier(arguments, invocation) as trained, stop_on_interrupt(_STOPPING) as stop:
        from jaxnext.inference.explain import Method
        from jaxnext.inference.serving.application import application
        from jaxnext.inference.serving.guard import hosts_of
        from jaxnext.inference.serving.service import Service
        from jaxnext.ops.cpu import onednn

        def begin_thread() -> None:
            if not arguments.onednn:
                # It is the thread's own; it ends with it.
                onednn.disabled("--onednn false").__enter__()

        (net,) = trained.members
        methods: tuple[Method, ...] = ("gradcam", "cbam") if net.has_spatial_map else ("gradcam",)
        service = Service(
            net,
            arguments.limits,
            batch_size=arguments.batch_size,
            wait_seconds=arguments.wait_ms / 1000,
            decoding_threads=cores(),
            threshold=threshold_of(arguments.threshold, trained),
            methods=methods if arguments.explain else (),
            begin_thread=begin_thread,
        )
        name = arguments.checkpoint[0].resolve().name
        service.warm()
        if stop():
            return 0
        app = application(service, name, hosts_of(arguments.host, arguments.allowed_hosts))
        serve(
            app,
            service,
            bound,
            stop,
            arguments.stop_seconds,
            ready=lambda: say(f"{address_of(bound)}: {name} is served; Ctrl-C stops it"),
        )
    return 0


def _check_libraries() -> None:
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise JaxnextError(
                f"serve: expected the library {name}, found that it is not installed; pip install 'jaxnext[serve]' "
                f"({one_line(error)})"
            ) from error
