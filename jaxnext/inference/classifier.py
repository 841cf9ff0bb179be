"""A trained classifier, loaded from the folder of a run or of a ported checkpoint, ready to predict."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from numpy.typing import NDArray

from jaxnext.data.pixels import Pixels
from jaxnext.engine import averaging, parallel, steps
from jaxnext.engine.energy import compile_probabilities_and_energy
from jaxnext.engine.network import network
from jaxnext.engine.padding import pad_rows
from jaxnext.engine.state import Batch
from jaxnext.errors import JaxnextError
from jaxnext.inference.calibration import check_temperature, read_calibration
from jaxnext.inference.embeddings import compile_embeddings
from jaxnext.inference.explain import Method, compile_maps, has_spatial_map
from jaxnext.inference.predictor import Predictor
from jaxnext.inference.trained import load_trained
from jaxnext.inference.tta import Views
from jaxnext.models.check import check_parts
from jaxnext.models.classifier import Classifier
from jaxnext.models.folding import fold
from jaxnext.types import Variables


class TrainedClassifier(Predictor):
    """Class names and a function from images to probabilities; preprocessing is that of the training run.

    The batch norms are folded into the layers before them; the checkpoint stays as it is.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        meta: what the checkpoint says of itself.
        checkpoint: its folder.
        which: the checkpoint of a run, ``best`` or ``last``.
        pixels: the rules by which images become what the net sees.
        temperature: that the logits are divided by.
        calibration: what was fitted, where it is used.
    """

    def __init__(
        self,
        checkpoint: Path,
        which: str = "best",
        devices: Sequence[parallel.Device] | None = None,
        train_command: str = "jaxnext train",
        image_size: int | tuple[int, ...] | None = None,
        temperature: float | Literal["calibrated"] = 1.0,
    ) -> None:
        """Load a checkpoint.

        Args:
            checkpoint: folder of a run or of a ported checkpoint.
            which: ``best`` or ``last``.
            devices: that share each batch; ``None``: all local ones.
            train_command: that trains a head, for the error where there is none.
            image_size: pixels on each side, or height and width, that images are resized to; a net trained at one size
                is often better at a larger one (Touvron et al., "FixRes", 2019); ``None``: that of the training run.
            temperature: above 0, that the logits are divided by; ``calibrated``: the one that was fitted.

        Raises:
            JaxnextError: no such checkpoint, one that cannot be read, one without a trained head, weights that are not
                finite, an attention or head that has no output at ``image_size``, or no fitted temperature.
            UsageError: ``temperature`` is not above 0.
            ValueError: ``image_size`` is no size.
        """
        self.checkpoint, self.which = checkpoint, which
        variables, self.meta, self.classes = load_trained(checkpoint, which, train_command)
        self.calibration = read_calibration(checkpoint, which, variables) if temperature == "calibrated" else None
        self.temperature = check_temperature(temperature) if self.calibration is None else self.calibration.temperature
        config = self.meta.config
        if config.precision == "float64" and not jax.config.read("jax_enable_x64"):
            raise JaxnextError(
                f"{checkpoint}: a float64 checkpoint needs jax.config.update('jax_enable_x64', True) first"
            )
        data = config.data if image_size is None else dataclasses.replace(config.data, image_size=image_size)
        self.image_size = data.final_size
        self.pixels = Pixels.of(data)
        super().__init__([self.pixels], devices)
        self._model = model = network(config.model, len(self.classes), config.precision)
        if image_size is not None:
            check_parts(model, len(self.classes), data.size)
        try:
            folded = fold(variables, model)
        except JaxnextError as error:
            raise JaxnextError(f"{checkpoint}: {error}") from error
        self._variables = parallel.replicate(folded, self._mesh)
        self._predict = steps.compile_predict_step(model, self._mesh)
        self._evaluate = steps.compile_eval_step(model, self._mesh)
        self._log_probabilities = averaging.compile_log_probabilities(model, self._mesh, self.temperature)
        self._with_energy = compile_probabilities_and_energy(model, self._mesh, self.temperature)
        self._means: dict[Views, Callable[[jax.Array], jax.Array]] = {}
        self._maps: dict[Method, Callable[..., jax.Array]] = {}
        self._embeddings = compile_embeddings(model, self._mesh)

    @property
    def members(self) -> "tuple[TrainedClassifier, ...]":
        """This net alone."""
        return (self,)

    @property
    def devices(self) -> tuple[parallel.Device, ...]:
        """That share each batch."""
        return tuple(self._mesh.devices.flat)

    @property
    def folded(self) -> tuple[Classifier, Variables]:
        """The Flax module, and its variables with folded batch norms, on the devices."""
        return self._model, self._variables

    def log_probabilities(self, images: Sequence[jax.Array], views: Views | None) -> jax.Array:
        """Return the logarithms of the probabilities; see ``Predictor``."""
        (own,) = images
        if views is None:
            return self._log_probabilities(self._variables, own)
        if views not in self._means:
            self._means[views] = self._mean_over(views)
        return self._means[views](own)

    def energies(self, images: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Return probabilities ``[N, classes]`` and energies ``[N]`` of a batch given as to ``log_probabilities``."""
        (own,) = images
        return self._with_energy(self._variables, own)

    def probabilities(self, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.floating]:
        """Return the probabilities of one batch of images, each as the net sees them; ``predict`` takes any.

        Args:
            images: ``[n, *pixels.shape]``, at most ``batch_size``.
            batch_size: that the program is compiled for.

        Returns:
            ``[n, classes]``.
        """
        padded = pad_rows(images, self._rows(batch_size))
        return np.asarray(self._batch_probabilities(parallel.split_batch([padded], self._mesh), None)[: len(images)])

    @functools.cached_property
    def has_spatial_map(self) -> bool:
        """Return whether ``cbam`` can be shown of the net."""
        return has_spatial_map(self._model)

    def maps(
        self, images: NDArray[np.uint8], classes: NDArray[np.int32], method: Method, batch_size: int
    ) -> NDArray[np.float32]:
        """Return where the net looks in one batch of images, each as it sees them; ``explain`` takes any.

        Args:
            images: ``[n, *pixels.size, 3]``, at most ``batch_size``.
            classes: ``[n]``, whose logits Grad-CAM explains; -1: the predicted one's.
            method: ``cbam`` or ``gradcam``.
            batch_size: that the program is compiled for.

        Returns:
            ``[n, *pixels.size]``, 0 to 1.

        Raises:
            UsageError: ``cbam`` of a net without it.
        """
        if method not in self._maps:
            self._maps[method] = compile_maps(self._model, self._mesh, method)
        rows = parallel.round_up(batch_size, self._mesh)
        given = parallel.split_batch((pad_rows(images, rows), pad_rows(classes, rows)), self._mesh)
        return np.asarray(self._maps[method](self._variables, *given)[: len(images)], np.float32)

    def embeddings(self, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.floating]:
        """Return the embeddings of one batch, each image as the net sees it; ``embed`` takes any.

        Args:
            images: ``[n, *pixels.size, 3]``, at most ``batch_size``.
            batch_size: that the program is compiled for.

        Returns:
            ``[n, C]``.
        """
        padded = pad_rows(images, self._rows(batch_size))
        return np.asarray(self.embedded(parallel.split_batch([padded], self._mesh)))[: len(images)]

    def embedded(self, images: Sequence[jax.Array]) -> jax.Array:
        """Return the embeddings ``[N, C]`` of a batch given as to ``log_probabilities``."""
        (own,) = images
        return self._embeddings(self._variables, own)

    def share_programs(self, others: "Sequence[TrainedClassifier]") -> None:
        """Take the compiled programs of a net that is the same but for its weights, if there is one on these devices.

        Those of a net's own would be compiled again.
        """
        for other in others:
            if (other._model, other._mesh, other.temperature) == (self._model, self._mesh, self.temperature):
                self._log_probabilities = other._log_probabilities

    def _mean_over(self, views: Views) -> Callable[[jax.Array], jax.Array]:
        """Return the function of a batch whose views are seen one after another, each size by one program."""
        whole = jax.ShapeDtypeStruct((1, *self.pixels.shape), np.uint8)
        sizes = {view.shape[1:3] for view in jax.eval_shape(views.views, whole)}
        for height, width in sorted(sizes - {self.pixels.size}):
            try:
                check_parts(self._model, len(self.classes), (height, width))
            except JaxnextError as error:
                raise JaxnextError(
                    f"{self.checkpoint}: test-time augmentation gives views of {height}x{width} pixels: {error}"
                ) from error
        split = averaging.compile_rows(self._mesh, views.views)
        mean = averaging.compile_rows(self._mesh, averaging.mean_of_probabilities)

        def mean_over(images: jax.Array) -> jax.Array:
            return mean([self._log_probabilities(self._variables, view) for view in split(images)])

        return mean_over

    # One net that sees each image once has programs of its own: those of the validation after an epoch.

    def _batch_probabilities(self, images: Sequence[jax.Array], views: Views | None) -> jax.Array:
        if views is None and self.temperature == 1:
            return self._predict(self._variables, *images)
        return super()._batch_probabilities(images, views)

    def _batch_sums(self, batch: Batch, images: Sequence[jax.Array], views: Views | None) -> steps.Sums:
        if views is None and self.temperature == 1:
            return self._evaluate(self._variables, batch)
        return super()._batch_sums(batch, images, views)
