"""``jaxnext export``: write a checkpoint's weights to a file that PyTorch reads."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from jaxnext.cli.console import say
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of, given_path
from jaxnext.cli.paths import optional_path
from jaxnext.cli.precision import set_precision_of
from jaxnext.errors import UsageError

_FORMATS: Final[dict[str, Literal["pth", "safetensors"]]] = {".safetensors": "safetensors", ".pth": "pth"}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    checkpoint: Path
    which: str
    output: Path
    form: Literal["pth", "safetensors"]
    classes: Path | None


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN --output FILE.safetensors|FILE.pth [--which best|last] [--classes FILE]"
    parser = Parser(invocation.usage("export"), usage, "Write a checkpoint's weights to a file that PyTorch reads.")
    parser.add_argument("checkpoint", metavar="run", nargs="?", help="folder of a run or of a ported checkpoint")
    parser.option("output", str | None, "the file: .safetensors, or .pth for PyTorch's own format")
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    parser.option(
        "classes", str | None, "text file that receives the class names, one a line, in the order of the outputs"
    )
    values = parser.parse(argv)
    checkpoint = given_path(values, "checkpoint", "give the folder of a run or of a ported checkpoint", "RUN")
    output = given_path(values, "output", "give a file that ends in .safetensors or .pth")
    if output.suffix not in _FORMATS:
        raise UsageError(f"--output: expected a file that ends in {' or '.join(_FORMATS)}, found {output}")
    classes = optional_path("--classes", values["classes"])
    # Files, not spellings: one may be absolute, or lead over a link.
    if classes is not None and classes.resolve() == output.resolve():
        raise UsageError(f"--classes: expected another file than --output, found {classes}")
    form = _FORMATS[output.suffix]
    return arguments_of(Arguments, values, checkpoint=checkpoint, output=output, form=form, classes=classes)


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    set_precision_of(arguments.checkpoint)
    from jaxnext.weights.export import export_weights

    export_weights(arguments.checkpoint, arguments.which, arguments.output, arguments.form, arguments.classes, say=say)
    return 0
