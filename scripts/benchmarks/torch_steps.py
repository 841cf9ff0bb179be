"""PyTorch's training step and inference, in each of the ways that one would run them."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.machine import waiter
from benchmarks.timing import Candidate, Clock
from benchmarks.torch_model import build
from jaxnext.config.sections import Config
from jaxnext.errors import JaxnextError

Mode = Literal["train", "inference"]
Variant = Literal["torch_eager", "torch_channels_last", "torch_compile", "timm_channels_last", "timm_compile"]

EAGER: tuple[Variant, ...] = ("torch_eager", "torch_channels_last")
"""The better of these is what ratios "to torch" are against."""
COMPILED: Variant = "torch_compile"
TIMM: tuple[Variant, ...] = ("timm_channels_last", "timm_compile")
"""timm's own ``resnext50_32x4d`` with its linear head, whatever the config's network is."""


class Prepared(NamedTuple):
    """A function that has been called once, and what that took."""

    candidate: Candidate
    first_call_seconds: float
    """with ``torch.compile``'s compilation, or what its own cache holds of it"""
    peak_memory_bytes: int | None
    """on a GPU: the most that the network, its optimizer and its first call had allocated, with what cuDNN tried"""


def prepare(
    torch: Any,
    device: str,
    variant: Variant,
    mode: Mode,
    config: Config,
    classes: int,
    images: np.ndarray,
    clock: Clock,
) -> Prepared:
    """Build a network and call its function once.

    Args:
        torch: the module.
        device: ``cpu`` or ``cuda``.
        variant: NCHW as PyTorch has it, channels_last, or channels_last under ``torch.compile``; timm's likewise.
        mode: a training step (forward, cross-entropy, backward, Adam) or the forward pass.
        config: the network, the optimizer and the precision; bfloat16 is autocast's.
        classes: number of outputs.
        images: normalised, ``[N, H, W, 3]``, float32.
        clock: seconds.

    Raises:
        JaxnextError: timm is not installed.
        Exception: whatever ``torch.compile`` raises where it cannot compile.
    """
    gpu = device == "cuda"
    before = torch.cuda.memory_allocated() if gpu else 0
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    net = (_timm_network(classes) if variant in TIMM else build(torch, config.model, classes)).to(device)
    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device)
    if variant != "torch_eager":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    net.train(mode == "train")
    function = torch.compile(net) if variant in (COMPILED, "timm_compile") else net
    autocast = _autocast(torch, device, config)
    if mode == "train":
        call = _training_step(torch, net, function, x, classes, config, autocast)
    else:
        call = _inference(torch, function, x, autocast)
    wait, begin = waiter(torch, device), clock()
    wait(call())
    seconds = clock() - begin
    return Prepared(
        Candidate(variant, call, wait), seconds, torch.cuda.max_memory_allocated() - before if gpu else None
    )


def peak_of_a_call(torch: Any, device: str, call: Callable[[], Any]) -> int | None:
    """On a GPU: the most bytes allocated during one more call; without what cuDNN tried during the first."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated())


def _timm_network(classes: int) -> Any:
    try:
        import timm  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise JaxnextError("timm is not installed for this Python") from error
    return timm.create_model("resnext50_32x4d", pretrained=False, num_classes=classes)


def _autocast(torch: Any, device: str, config: Config) -> Callable[[], Any]:
    enabled = config.precision == "bfloat16"
    return lambda: torch.autocast(device, dtype=torch.bfloat16, enabled=enabled)


def _training_step(
    torch: Any, net: Any, function: Any, x: Any, classes: int, config: Config, autocast: Callable[[], Any]
) -> Callable[[], Any]:
    settings = config.optimizer
    optimizer = torch.optim.Adam(
        net.parameters(),
        lr=settings["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["eps"],
        weight_decay=settings["weight_decay"],
        fused=True if x.is_cuda else None,
    )
    labels = torch.arange(x.shape[0], device=x.device) % classes

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            loss = torch.nn.functional.cross_entropy(function(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _inference(torch: Any, function: Any, x: Any, autocast: Callable[[], Any]) -> Callable[[], Any]:
    def infer() -> Any:
        with torch.inference_mode(), autocast():
            return function(x)

    return infer
