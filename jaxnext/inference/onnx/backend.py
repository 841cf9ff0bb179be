"""Prediction by onnxruntime: a net's probabilities computed from its own export, which is held in memory."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.exporter import Net
from jaxnext.inference.onnx.model import INPUT, LOGITS, of_folded
from jaxnext.inference.onnx.runtime import library, session
from jaxnext.inference.predictor import Predictor
from jaxnext.inference.tta import Views


class OnnxPredictor(Predictor):
    """A trained net, each image seen once. What else is asked of the net is computed by JAX."""

    def __init__(self, net: TrainedClassifier, threads: int | None = None) -> None:
        """Export a net.

        Args:
            net: that is computed.
            threads: that compute; ``None``: one for each core.

        Raises:
            UsageError: onnxruntime is not installed, or computes no net of this precision or on these devices.
            JaxnextError: the net has an operation that ONNX has not.
        """
        for name in ("onnx", "onnxruntime"):
            library(name, "--backend onnxruntime")
        precision, platform = net.meta.config.precision, net.devices[0].platform
        if precision != "float32":
            raise UsageError(f"--backend onnxruntime: expected a net that computes in float32, found {precision}")
        if platform != "cpu":
            raise UsageError(f"--backend onnxruntime: expected to compute on a CPU, found {platform}")
        super().__init__([net.pixels], net.devices)
        self.classes, self.image_size = net.classes, net.image_size
        self._net = net
        model, folded = net.folded
        variables = jax.tree.map(np.asarray, folded)
        exported = Net(net.checkpoint, model, variables, net.classes, net.meta, net.pixels, net.temperature)
        made = of_folded(exported, variables, bytes_in=True)
        self._session = session(made.SerializeToString(), threads)

    @property
    def members(self) -> tuple[TrainedClassifier, ...]:
        """The net."""
        return (self._net,)

    def log_probabilities(self, images: Sequence[jax.Array], views: Views | None) -> jax.Array:
        """Return the logarithms of the probabilities; see ``Predictor``.

        Raises:
            UsageError: several views.
        """
        if views is not None:
            raise UsageError("test-time augmentation: expected JAX to compute it, found onnxruntime")
        (own,) = images
        (logits,) = self._session.run([LOGITS], {INPUT: np.asarray(own)})
        highest = logits.max(1, keepdims=True)
        return logits - highest - np.log(np.exp(logits - highest).sum(1, keepdims=True))


def faster(
    net: TrainedClassifier, other: Predictor, batch_size: int, clock: Callable[[], float]
) -> tuple[Predictor, dict[str, float]]:
    """Return which of two takes less time for a batch, after one that does not count, and seconds of both.

    Args:
        net: by JAX, which it is where they take as long.
        other: by onnxruntime.
        batch_size: images at a time.
        clock: gives seconds.
    """
    images: NDArray[np.uint8] = np.zeros((batch_size, *net.pixels.shape), np.uint8)

    def seconds(predictor: Predictor) -> float:
        predictor.predict(images, batch_size)
        taken = []
        for _ in range(3):
            begun = clock()
            predictor.predict(images, batch_size)
            taken.append(clock() - begun)
        return min(taken)

    times = {"jax": seconds(net), "onnxruntime": seconds(other)}
    return (other if times["onnxruntime"] < times["jax"] else net), times
