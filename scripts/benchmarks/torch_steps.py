"""PyTorch's training step and inference, in each of the ways that one would run them."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.machine import waiter
from benchmarks.timing import Candidate
from benchmarks.torch_model import build
from jaxnext.config.sections import Config


def prepare(
    torch: Any, device: str, variant: str, mode: str, config: Config, classes: int, images: np.ndarray
) -> Candidate:
    """Build a network and call its function once.

    Args:
        torch: the module.
        device: ``cpu`` or ``cuda``.
        variant: ``torch_eager`` (NCHW), ``_channels_last``, or that under ``torch_compile``; ``timm_`` likewise: its
            own ``resnext50_32x4d`` with a linear head, whatever the config's network is.
        mode: ``train`` (forward, cross-entropy, backward, Adam) or ``inference``, from images to logits.
        config: the network, the optimizer and the precision; bfloat16 is autocast's.
        classes: number of outputs.
        images: normalised, ``[N, H, W, 3]``, float32.

    Returns:
        with ``compile_seconds``, those of the first call, and ``peak_memory_bytes``, on a GPU: the most that one more
        call had allocated, without what cuDNN tried during the first.

    Raises:
        Exception: whatever ``torch.compile`` raises where it cannot compile, or the lack of timm.
    """
    if variant.startswith("timm"):
        import timm  # pyright: ignore[reportMissingImports]

        net: Any = timm.create_model("resnext50_32x4d", pretrained=False, num_classes=classes).to(device)
    else:
        net = build(torch, config.model, classes).to(device)
    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device)
    if not variant.endswith("eager"):
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    net.train(mode == "train")
    function = torch.compile(net) if variant.endswith("compile") else net
    enabled = config.precision == "bfloat16"

    def forward() -> Any:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=enabled):
            return function(x)

    def infer() -> Any:
        with torch.inference_mode():
            return forward()

    call = _training_step(torch, net, forward, x, classes, config) if mode == "train" else infer
    wait, begin = waiter(torch, device), time.perf_counter()
    wait(call())
    facts = {"compile_seconds": time.perf_counter() - begin, "peak_memory_bytes": None}
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        wait(call())
        facts["peak_memory_bytes"] = int(torch.cuda.max_memory_allocated())
    return Candidate(variant, call, wait, facts)


def _training_step(
    torch: Any, net: Any, forward: Callable[[], Any], x: Any, classes: int, config: Config
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
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(forward(), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step
