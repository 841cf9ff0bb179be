"""A trained classifier, loaded from the folder of a run or of a ported checkpoint, ready to predict."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.decode import rgb_array
from jaxnext.data.folder_source import files_source
from jaxnext.data.image_source import ImageSource
from jaxnext.data.loader import HostBatch, stream
from jaxnext.data.order import sequential_order
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.engine import parallel, steps
from jaxnext.engine.network import network
from jaxnext.engine.padding import pad_rows, padded_batch
from jaxnext.engine.pipeline import pipelined
from jaxnext.errors import JaxnextError, one_line
from jaxnext.inference.trained import load_trained
from jaxnext.models.folding import fold
from jaxnext.types import UInt8Image

_T = TypeVar("_T")


class TrainedClassifier:
    """Class names and a function from images to probabilities; preprocessing is that of the training run.

    The batch norms are folded into the layers before them; the checkpoint stays as it is.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        meta: what the checkpoint says of itself.
    """

    def __init__(
        self,
        checkpoint: Path,
        which: str = "best",
        devices: Sequence[parallel.Device] | None = None,
        train_command: str = "jaxnext train",
    ) -> None:
        """Load a checkpoint.

        Args:
            checkpoint: folder of a run or of a ported checkpoint.
            which: ``best`` or ``last``.
            devices: that share each batch; ``None``: all local ones.
            train_command: that trains a head, for the error where there is none.

        Raises:
            JaxnextError: no such checkpoint, one that cannot be read, one without a trained head, or weights that are
                not finite.
        """
        variables, self.meta, self.classes = load_trained(checkpoint, which, train_command)
        config = self.meta.config
        if config.precision == "float64" and not jax.config.read("jax_enable_x64"):
            raise JaxnextError(
                f"{checkpoint}: a float64 checkpoint needs jax.config.update('jax_enable_x64', True) first"
            )
        self.image_size = config.data.image_size
        self._pixels = Pixels.of(config.data)
        self._mesh = parallel.mesh_of(devices or jax.local_devices())
        model = network(config.model, len(self.classes), config.precision)
        try:
            folded = fold(variables, model)
        except JaxnextError as error:
            raise JaxnextError(f"{checkpoint}: {error}") from error
        self._variables = parallel.replicate(folded, self._mesh)
        self._predict = steps.compile_predict_step(model, self._mesh)
        self._evaluate = steps.compile_eval_step(model, self._mesh)

    def predict(
        self, images: str | Path | Sequence[Any] | NDArray[np.uint8], batch_size: int = 16
    ) -> NDArray[np.floating]:
        """Return probabilities of the classes.

        Args:
            images: paths of image files (or a single one), images of Pillow, turned and scaled as their files would
                be, or arrays, uint8 ``[height, width, 3]`` in RGB, taken as they are; all of any sizes.
            batch_size: images at a time; does not change the result.

        Returns:
            ``[number of images, number of classes]``, in the order of ``classes``.

        Raises:
            JaxnextError: a file that cannot be read, or an array that is no RGB image.
        """
        if isinstance(images, str | Path):
            images = [images]
        if len(images) == 0:
            return np.zeros((0, len(self.classes)), np.float32)
        if all(isinstance(image, str | Path) for image in images):
            return self._predict_files([Path(image) for image in images], batch_size)
        chunks = ((i, self._resized(images[i : i + batch_size], i)) for i in range(0, len(images), batch_size))
        return np.concatenate([rows for _, rows in self._probabilities(chunks, batch_size)])

    def stream(
        self, source: ImageSource, batch_size: int, workers: int, threads: int = 2
    ) -> Iterator[tuple[HostBatch, NDArray[np.floating]]]:
        """Yield a source's batches in order, each with its probabilities ``[batch_size, classes]``, padding included.

        Args:
            source: the images.
            batch_size: images at a time; does not change the result.
            workers: processes that decode; 0: threads of this process.
            threads: without worker processes, batches decoded at a time.
        """
        order = sequential_order(len(source), batch_size)
        with stream(order, None, source, self._pixels, workers=workers, threads=threads) as batches:
            yield from self._probabilities(((host, host.image) for host in batches), batch_size)

    def evaluate(
        self, source: ImageSource, batch_size: int, workers: int, threads: int = 2
    ) -> Iterator[tuple[HostBatch, steps.Sums]]:
        """Yield a labelled source's batches in order, each with metric sums; arguments as for ``stream``."""
        order = sequential_order(len(source), batch_size)
        rows = self._rows(batch_size)
        with stream(order, None, source, self._pixels, workers=workers, threads=threads) as batches:
            padded = ((host, parallel.split_batch(padded_batch(host, rows), self._mesh)) for host in batches)
            yield from pipelined((host, self._evaluate(self._variables, batch)) for host, batch in padded)

    def _predict_files(self, paths: list[Path], batch_size: int) -> NDArray[np.floating]:
        # files_source sorts; the caller's order is restored.
        for path in paths:
            if path.is_dir():
                raise JaxnextError(f"{path}: expected an image file, found a folder; give the paths of its images")
        order = sorted(set(paths), key=Path.as_posix)
        found = []
        for host, probabilities in self.stream(files_source(order), batch_size, workers=0):
            for error in host.errors:
                raise JaxnextError(str(error))
            found.append(probabilities[host.mask])
        place = {path: i for i, path in enumerate(order)}
        return np.concatenate(found)[[place[path] for path in paths]]

    def _resized(self, images: Sequence[Any] | NDArray[np.uint8], first: int) -> NDArray[np.uint8]:
        arrays = (_rgb(image, first + i, self._pixels) for i, image in enumerate(images))
        return np.stack([resize(array, self._pixels) for array in arrays])

    def _probabilities(
        self, batches: Iterable[tuple[_T, NDArray[np.uint8]]], batch_size: int
    ) -> Iterator[tuple[_T, NDArray[np.floating]]]:
        """Yield those of the images of each batch, waited for when the next batch has been sent."""

        def started() -> Iterator[tuple[_T, int, jax.Array]]:
            for key, images in batches:
                # Every batch is padded to one shape, so that one compiled function serves all.
                padded = parallel.split_batch(pad_rows(images, self._rows(batch_size)), self._mesh)
                yield key, len(images), self._predict(self._variables, padded)

        for key, count, probabilities in pipelined(started()):
            yield key, np.asarray(probabilities)[:count]

    def _rows(self, batch_size: int) -> int:
        return parallel.round_up(batch_size, self._mesh)


def _rgb(image: Any, number: int, pixels: Pixels) -> UInt8Image:
    """Return the pixels of an image that is no path; ``number`` says which it is."""
    expected = f"predict: image {number}: expected a uint8 array [height, width, 3], an image of Pillow, or only paths"
    try:
        array = rgb_array(image, pixels) if isinstance(image, Image.Image) else np.asarray(image)
    except (OSError, ValueError, CorruptImage) as error:
        raise JaxnextError(f"{expected}, found {type(image).__name__} ({one_line(error)})") from error
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or not array.size:
        raise JaxnextError(f"{expected}, found {array.dtype} {list(array.shape)}")
    return array
