"""``--backend``: what computes the probabilities of ``jaxnext predict``."""

import importlib.util
import time
from typing import TYPE_CHECKING, Literal

from jaxnext.cli.console import say
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser
from jaxnext.config.choice import NONE, Choice
from jaxnext.errors import JaxnextError, UsageError

if TYPE_CHECKING:
    from jaxnext.inference.predictor import Predictor

Backend = Literal["jax", "onnxruntime", "auto"]

FEW = 4
"""Images of a batch up to which onnxruntime is tried unasked: with one it was 1.1 to 1.3 times as fast as JAX, with 8
and 32 they are level, and a CSV is the same bytes again only where JAX computes it."""


def add_backend(parser: Parser) -> None:
    """Add the option."""
    text = (
        "what computes the probabilities; auto: onnxruntime where it is installed (pip install 'jaxnext[onnx]') and "
        f"takes less time for a batch on this CPU; null: jax, but auto for batches of up to {FEW} images"
    )
    parser.option("backend", Backend | None, text)


def backend_of(given: Backend | None, batch_size: int, other: str | None) -> Backend:
    """Return what is asked for by an option that may not be given; ``other`` is what ``by_jax_alone`` says."""
    if given is not None:
        return given
    if other is not None:
        return "jax"
    installed = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))
    return "auto" if batch_size <= FEW and installed else "jax"


def by_jax_alone(nets: int, tta: Choice, energy: bool) -> str | None:
    """Return what is asked for that onnxruntime does not compute, if anything.

    Args:
        nets: number of checkpoints.
        tta: test-time augmentation.
        energy: whether energies are asked for.
    """
    asked = (("several checkpoints", nets > 1), ("--tta", tta.type != NONE), ("--energy", energy))
    return next((what for what, is_asked in asked if is_asked), None)


def check_backend(backend: Backend, other: str | None) -> None:
    """Refuse onnxruntime with what ``by_jax_alone`` names."""
    if backend == "onnxruntime" and other is not None:
        raise UsageError(f"--backend onnxruntime: expected it without {other}, which JAX alone computes")


def with_backend(trained: "Predictor", backend: Backend, batch_size: int, other: str | None) -> "Predictor":
    """Return the classifier that computes as is asked for; of ``auto`` say which it is.

    Args:
        trained: by JAX.
        backend: that is asked for.
        batch_size: images at a time.
        other: what ``by_jax_alone`` says.

    Raises:
        UsageError: onnxruntime is not installed, or computes no net of this precision or on this device.
        JaxnextError: a net that ONNX cannot hold.
    """
    if backend == "jax":
        return trained
    if other is not None:
        say(f"--backend auto: jax, which alone computes {other}")
        return trained
    from jaxnext.inference.onnx.backend import OnnxPredictor, faster

    (net,) = trained.members
    try:
        by_onnxruntime = OnnxPredictor(net, cores())
    except JaxnextError as error:
        if backend == "onnxruntime":
            raise
        say(f"--backend auto: jax ({error})")
        return trained
    if backend == "onnxruntime":
        return by_onnxruntime
    chosen, seconds = faster(net, by_onnxruntime, batch_size, time.perf_counter)
    shown = ", ".join(f"{name} {1000 * taken:.0f} ms" for name, taken in seconds.items())
    say(f"--backend auto: {'jax' if chosen is net else 'onnxruntime'} (a batch of {batch_size}: {shown})")
    return chosen
