"""From images to probabilities and metric sums, batch by batch, by one net or by several."""

import abc
import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.config.choice import NONE
from jaxnext.data.bad_image import BadImage, CorruptImage
from jaxnext.data.decode import rgb_array
from jaxnext.data.folder_source import files_source
from jaxnext.data.image_source import ImageSource, Subset
from jaxnext.data.loader import HostBatch, stream
from jaxnext.data.order import sequential_order
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.engine import averaging, parallel
from jaxnext.engine.padding import pad_rows, padded_batch
from jaxnext.engine.pipeline import pipelined
from jaxnext.engine.state import Batch
from jaxnext.engine.steps import Sums
from jaxnext.errors import JaxnextError, UsageError, one_line
from jaxnext.inference.embeddings import embed
from jaxnext.inference.explain import Classes, Method, explain
from jaxnext.inference.tta import Views, views_of
from jaxnext.types import UInt8Image

if TYPE_CHECKING:
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.evaluate import Evaluation

_T = TypeVar("_T")
Tta = str | Mapping[str, Any]
"""Name of a file in ``inference/tta``, or a mapping of its name, ``type``, and options; ``none``: each image once."""


class Predictor(abc.ABC):
    """Class names and a function from images to probabilities.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        image_size: pixels on each side, or height and width, of the images as the largest net sees them.
    """

    classes: tuple[str, ...]
    image_size: int | tuple[int, ...]

    def __init__(self, decodings: Sequence[Pixels], devices: Sequence[parallel.Device] | None) -> None:
        """Take what all need.

        Args:
            decodings: the different rules by which nets want their images.
            devices: that share each batch; ``None``: all local ones.
        """
        self._decodings = tuple(decodings)
        self._mesh = parallel.mesh_of(devices or jax.local_devices())
        self._exp = averaging.compile_rows(self._mesh, jnp.exp)
        self._sums = averaging.compile_sums(self._mesh)

    @property
    @abc.abstractmethod
    def members(self) -> "tuple[TrainedClassifier, ...]":
        """The nets, one or several."""

    def only_net(self, what: str, advice: str = "") -> "TrainedClassifier":
        """Return the net, where there is one.

        Args:
            what: is asked of it, for the message.
            advice: what to do instead, likewise.

        Raises:
            UsageError: an ensemble.
        """
        net, *others = self.members
        if others:
            raise UsageError(f"{what}: expected one net, found an ensemble of {len(self.members)}{advice}")
        return net

    @abc.abstractmethod
    def log_probabilities(self, images: Sequence[jax.Array], views: Views | None) -> jax.Array:
        """Return the logarithms of the probabilities of a batch.

        Args:
            images: the batch as each of the decodings has it, uint8 ``[N, H, W, 3]``, on the devices.
            views: of which the mean is taken; ``None``: of each image alone.

        Returns:
            ``[N, classes]``.
        """

    def predict(
        self, images: str | Path | Sequence[Any] | NDArray[np.uint8], batch_size: int = 16, tta: Tta = NONE
    ) -> NDArray[np.floating]:
        """Return probabilities of the classes.

        Args:
            images: paths of image files (or a single one), images of Pillow, turned and scaled as their files would
                be, or arrays, uint8 ``[height, width, 3]`` in RGB, taken as they are; all of any sizes.
            batch_size: images at a time; does not change the result.
            tta: test-time augmentation, of whose views the mean of the probabilities is returned: ``flips``,
                ``five_crop``, or ``{"type": "five_crop", "crop_share": 0.8}``.

        Returns:
            ``[number of images, number of classes]``, in the order of ``classes``.

        Raises:
            JaxnextError: a file that cannot be read, or an array that is no RGB image.
            UsageError: no such ``tta``.
        """
        views = views_of(tta)
        if isinstance(images, str | Path):
            images = [images]
        if len(images) == 0:
            return np.zeros((0, len(self.classes)), np.float32)
        if all(isinstance(image, str | Path) for image in images):
            return self._predict_files([Path(image) for image in images], batch_size, tta)
        chunks = ((i, self._resized(images[i : i + batch_size], i)) for i in range(0, len(images), batch_size))
        return np.concatenate([rows for _, rows in self._probabilities(chunks, batch_size, views)])

    def explain(
        self,
        images: str | Path | Sequence[Any] | NDArray[np.uint8],
        method: Method = "gradcam",
        classes: Classes = None,
        batch_size: int = 16,
    ) -> NDArray[np.float32]:
        """Return where the net looks in each image, as a map over the image that it sees, which may be cut or padded.

        ``gradcam``  where the head's input speaks for a class (Selvaraju et al., 2017), divided by each image's largest
                     value; 0 everywhere where nothing does
        ``cbam``     the weights that the net's own spatial attention gives, as they are

        Args:
            images: as for ``predict``.
            method: ``gradcam``, of any net, or ``cbam``.
            classes: that Grad-CAM explains: a name or number for all images, or one for each; ``None``: the predicted.
            batch_size: images at a time; does not change the result.

        Returns:
            ``[number of images, height, width]``, 0 to 1; of the size that images are resized to.

        Raises:
            JaxnextError: as ``predict``.
            UsageError: an ensemble, no such method or class, or ``cbam`` of a net without it.
        """
        return explain(self, images, method, classes, batch_size)

    def embed(
        self, images: str | Path | Sequence[Any] | NDArray[np.uint8], batch_size: int = 16
    ) -> NDArray[np.floating]:
        """Return images as vectors: the mean over all places of what the net's head is given.

        Args:
            images: as for ``predict``.
            batch_size: images at a time; does not change the result.

        Returns:
            ``[number of images, channels]``, float32, of a float64 net float64.

        Raises:
            JaxnextError: as ``predict``.
            UsageError: an ensemble.
        """
        return embed(self, images, batch_size)

    def evaluate(
        self,
        data: str | Path | Sequence[str | Path] | None = None,
        batch_size: int = 16,
        tta: Tta = NONE,
        warn: Callable[[str], None] = print,
    ) -> "Evaluation":
        """Return loss and accuracies on labelled images.

        Args:
            data: a folder or archive of class folders, or several, matched to ``classes`` by name; ``None``: the
                validation images of the run.
            batch_size: images at a time; does not change the result.
            tta: test-time augmentation, as for ``predict``.
            warn: shows a line about what was left out.

        Raises:
            JaxnextError: a class folder that is none of ``classes``, an image that cannot be read, or validation images
                that are no longer those of the run.
            UsageError: no such ``tta``.
        """
        from jaxnext.inference.evaluate import evaluate, figures

        paths = [data] if isinstance(data, str | Path) else data
        sums = evaluate(
            self,
            None if paths is None else [Path(path) for path in paths],
            batch_size=batch_size,
            workers=0,
            cores=2,
            warn=warn,
            progress=lambda batches, _: batches,
            tta=tta,
        )
        return figures(sums, self.classes)

    def export(
        self,
        output: str | Path,
        format: str | None = None,
        *,
        images: Sequence[str | Path] | None = None,
        overwrite: bool = False,
        say: Callable[[str], None] = print,
        **options: Any,
    ) -> None:
        """Write the net in a format that others read, after what was written has given the net's own answers.

        Args:
            output: file or folder that is written.
            format: name of a file in ``inference/exporters``; ``None``: what the suffix of ``output`` says.
            images: folders, archives and image files that both are asked about; ``None``: made ones.
            overwrite: whether what is there is replaced.
            say: shows a line.
            **options: of the format.

        Raises:
            UsageError: an ensemble; no such format or option; a library that is missing.
            JaxnextError: as ``jaxnext.inference.export.export``.
        """
        from jaxnext.inference.export import export_classifier

        export_classifier(self, Path(output), format, options, images, overwrite, say)

    def shown(self, images: Sequence[Any] | NDArray[np.uint8], batch_size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield images given as for ``predict`` as the first net sees them, uint8 ``[n, H, W, 3]``, in their order."""
        if not all(isinstance(image, str | Path) for image in images):
            yield from (self._resized(images[i : i + batch_size], i)[0] for i in range(0, len(images), batch_size))
        elif len(images):
            paths = [Path(image) for image in images]
            order = _sorted_files(paths)
            place = {path: i for i, path in enumerate(order)}
            source = Subset(files_source(order), np.array([place[path] for path in paths], np.int64))
            with self._batches(source, batch_size, 0, 2) as batches:
                for host, (own, *_) in batches:
                    for error in host.errors:
                        raise JaxnextError(str(error))
                    yield own[host.mask]

    def stream(
        self, source: ImageSource, batch_size: int, workers: int, threads: int = 2, tta: Tta = NONE
    ) -> Iterator[tuple[HostBatch, NDArray[np.floating]]]:
        """Yield a source's batches in order, each with its probabilities ``[batch_size, classes]``, padding included.

        Args:
            source: the images.
            batch_size: images at a time; does not change the result.
            workers: processes that decode, for each way in which nets want their images; 0: threads of this process.
            threads: without worker processes, batches decoded at a time.
            tta: test-time augmentation.
        """
        views = views_of(tta)
        with self._batches(source, batch_size, workers, threads) as batches:
            yield from self._probabilities(batches, batch_size, views)

    def stream_energies(
        self, source: ImageSource, batch_size: int, workers: int, threads: int = 2
    ) -> Iterator[tuple[HostBatch, tuple[NDArray[np.floating], NDArray[np.floating]]]]:
        """Yield a source's batches with probabilities ``[batch_size, classes]`` and energies ``[batch_size]``.

        An energy is lower for an image of the kinds that the net knows; see ``engine.energy``. Arguments as ``stream``.

        Raises:
            UsageError: an ensemble.
        """
        net = self.only_net("energy")
        with self._batches(source, batch_size, workers, threads) as batches:
            yield from self._computed(batches, batch_size, net.energies)

    def stream_embeddings(
        self, source: ImageSource, batch_size: int, workers: int, threads: int = 2
    ) -> Iterator[tuple[HostBatch, NDArray[np.floating]]]:
        """Yield a source's batches with embeddings ``[batch_size, C]``; arguments and errors as ``stream_energies``."""
        net = self.only_net("embeddings")
        with self._batches(source, batch_size, workers, threads) as batches:
            yield from self._computed(batches, batch_size, net.embedded)

    def evaluate_batches(
        self, source: ImageSource, batch_size: int, workers: int, threads: int = 2, tta: Tta = NONE
    ) -> Iterator[tuple[HostBatch, Sums]]:
        """Yield a labelled source's batches in order, each with metric sums; arguments as for ``stream``."""
        views, rows = views_of(tta), self._rows(batch_size)

        def started(batches: Iterable[tuple[HostBatch, Sequence[UInt8Image]]]) -> Iterator[tuple[HostBatch, Sums]]:
            for host, (_, *images) in batches:
                others = [pad_rows(image, rows) for image in images]
                batch, others = parallel.split_batch((padded_batch(host, rows), others), self._mesh)
                yield host, self._batch_sums(batch, (batch.image, *others), views)

        with self._batches(source, batch_size, workers, threads) as batches:
            yield from pipelined(started(batches))

    def _batch_probabilities(self, images: Sequence[jax.Array], views: Views | None) -> jax.Array:
        return self._exp(self.log_probabilities(images, views))

    def _batch_sums(self, batch: Batch, images: Sequence[jax.Array], views: Views | None) -> Sums:
        return self._sums(self.log_probabilities(images, views), batch.label, batch.mask)

    def _predict_files(self, paths: list[Path], batch_size: int, tta: Tta) -> NDArray[np.floating]:
        # files_source sorts; the caller's order is restored.
        order, found = _sorted_files(paths), []
        for host, probabilities in self.stream(files_source(order), batch_size, workers=0, tta=tta):
            for error in host.errors:
                raise JaxnextError(str(error))
            found.append(probabilities[host.mask])
        place = {path: i for i, path in enumerate(order)}
        return np.concatenate(found)[[place[path] for path in paths]]

    def _resized(self, images: Sequence[Any] | NDArray[np.uint8], first: int) -> list[NDArray[np.uint8]]:
        def batch(pixels: Pixels) -> NDArray[np.uint8]:
            arrays = (_rgb(image, first + i, pixels) for i, image in enumerate(images))
            return np.stack([resize(array, pixels) for array in arrays])

        return [batch(pixels) for pixels in self._decodings]

    @contextlib.contextmanager
    def _batches(
        self, source: ImageSource, batch_size: int, workers: int, threads: int
    ) -> Iterator[Iterator[tuple[HostBatch, list[NDArray[np.uint8]]]]]:
        """Read a source's batches, each with the images of every decoding; the first's are also in the batch."""
        order = sequential_order(len(source), batch_size)
        with contextlib.ExitStack() as stack:
            streams = [
                stack.enter_context(stream(order, None, source, pixels, workers=workers, threads=threads))
                for pixels in self._decodings
            ]
            yield ((joined(parts), [part.image for part in parts]) for parts in zip(*streams, strict=True))

    def _probabilities(
        self, batches: Iterable[tuple[_T, Sequence[NDArray[np.uint8]]]], batch_size: int, views: Views | None
    ) -> Iterator[tuple[_T, NDArray[np.floating]]]:
        yield from self._computed(batches, batch_size, lambda images: self._batch_probabilities(images, views))

    def _computed(
        self,
        batches: Iterable[tuple[_T, Sequence[NDArray[np.uint8]]]],
        batch_size: int,
        compute: Callable[[Sequence[jax.Array]], Any],
    ) -> Iterator[tuple[_T, Any]]:
        """Yield what is computed of each batch, arrays of its rows, waited for when the next batch has been sent."""

        def started() -> Iterator[tuple[_T, int, Any]]:
            for key, images in batches:
                # Every batch is padded to one shape, so that one compiled function serves all.
                padded = [pad_rows(image, self._rows(batch_size)) for image in images]
                yield key, len(images[0]), compute(parallel.split_batch(padded, self._mesh))

        for key, count, found in pipelined(started()):
            yield key, jax.tree.map(lambda rows, count=count: np.asarray(rows)[:count], found)

    def _rows(self, batch_size: int) -> int:
        return parallel.round_up(batch_size, self._mesh)


def _sorted_files(paths: Sequence[Path]) -> list[Path]:
    """Return each path once, in the order of ``files_source``; refuse folders."""
    for path in paths:
        if path.is_dir():
            raise JaxnextError(f"{path}: expected an image file, found a folder; give the paths of its images")
    return sorted(set(paths), key=Path.as_posix)


def joined(parts: Sequence[HostBatch]) -> HostBatch:
    """Return the first of the decodings of one batch, with all that is to be said of any.

    An image counts where every decoding has it. What is said of it in several is said once.
    """
    if len(parts) == 1:
        return parts[0]
    errors: dict[str, BadImage] = {}
    remarks: collections.Counter[str] = collections.Counter()
    for part in parts:
        for error in part.errors:
            errors.setdefault(error.name, error)
        remarks |= collections.Counter(part.remarks)
    mask = np.logical_and.reduce([part.mask for part in parts])
    return parts[0]._replace(mask=mask, errors=tuple(errors.values()), remarks=tuple(remarks.elements()))


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
