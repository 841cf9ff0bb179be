"""Loss and accuracies of a trained classifier on labelled images, or its probabilities of each."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.choice import NONE
from jaxnext.data.archive import open_tree
from jaxnext.data.class_folders import class_folders
from jaxnext.data.image_source import ImageSource, fingerprint
from jaxnext.data.joined_source import JoinedSource
from jaxnext.data.listing import describe_left_out
from jaxnext.data.loader import HostBatch, default_workers
from jaxnext.data.remarks import lines as remark_lines
from jaxnext.data.splits import load_splits
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError
from jaxnext.inference.predictor import Predictor, Tta
from jaxnext.metrics import TOP, Accumulator
from jaxnext.reporting.figures import losses
from jaxnext.reporting.predictions import Predictions

_T = TypeVar("_T")


def evaluate(
    classifier: Predictor,
    data: Sequence[Path] | None,
    *,
    batch_size: int,
    workers: int | None,
    cores: int,
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    index: Path | None = None,
    tfds_folder: str | None = None,
    tta: Tta = NONE,
) -> Accumulator:
    """Return metric sums over labelled images; each counts exactly once.

    Args:
        classifier: that is evaluated.
        data: folders or archives of class folders, matched to the classifier's classes by name; ``None``: the
            validation images of the run, which of several have to be the same.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        cores: processor cores, from which the number of workers is chosen, and threads where there are none.
        warn: shows a line about what was left out.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.
        index: folder that keeps the listings of image folders from one start to the next; ``None``: they are not kept.
        tfds_folder: where data sets of TFDS are unless the run's config says.
        tta: test-time augmentation.

    Raises:
        JaxnextError: a class folder that the classifier does not know, validation images that are no longer those of
            every run, or an image that cannot be read, unless it is of
            a run that was to skip such, where it is a warning.
    """
    source, skip = _source(classifier, data, index, tfds_folder, warn)
    sums = Accumulator()
    batches = _batches(classifier.evaluate_batches, source, batch_size, workers, cores, progress, tta)
    for _, batch_sums in _readable(batches, classifier, batch_size, skip, warn):
        sums.add(batch_sums)
    return sums


class Evaluated(NamedTuple):
    """Predictions of the images that could be read, and where they are from."""

    predictions: Predictions
    source: ImageSource
    numbers: NDArray[np.int64]
    """``[n]``, of the images in their source"""


def predict_labelled(
    classifier: Predictor,
    data: Sequence[Path] | None,
    *,
    batch_size: int,
    workers: int | None,
    cores: int,
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    index: Path | None = None,
    tfds_folder: str | None = None,
    tta: Tta = NONE,
) -> Evaluated:
    """Return the probabilities of labelled images; arguments and errors as for ``evaluate``.

    Raises:
        JaxnextError: also where no image can be read, or a probability is not finite.
    """
    source, skip = _source(classifier, data, index, tfds_folder, warn)
    numbers, rows = [], []
    batches = _batches(classifier.stream, source, batch_size, workers, cores, progress, tta)
    for host, found in _readable(batches, classifier, batch_size, skip, warn):
        numbers.append(host.ids[host.mask])
        rows.append(found[host.mask])
    chosen = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    paths = [source.location(i) for i in chosen.tolist()]
    probabilities = np.concatenate(rows) if rows else np.zeros((0, len(classifier.classes)))
    found = Predictions.of(paths, source.labels[chosen], probabilities, classifier.classes)
    return Evaluated(found, source, chosen)


def sums_of(predictions: Predictions) -> Accumulator:
    """Return the sums of ``evaluate`` for images whose probabilities are known."""
    count = len(predictions.classes)
    rank = (predictions.probabilities > predictions.of_truth[:, None]).sum(1)
    return Accumulator(
        {
            "count": np.array(len(predictions)),
            "loss": losses(predictions).sum(),
            "correct": predictions.correct.sum(),
            "correct_top5": (rank < TOP).sum(),
            "class_count": np.bincount(predictions.truth, minlength=count),
            "class_correct": np.bincount(predictions.truth[predictions.correct], minlength=count),
        }
    )


def _source(
    classifier: Predictor,
    data: Sequence[Path] | None,
    index: Path | None,
    tfds_folder: str | None,
    warn: Callable[[str], None],
) -> tuple[ImageSource, bool]:
    """Return the images, and whether those that cannot be read are left out."""
    source, lines = labelled(classifier, data, index, tfds_folder)
    for line in lines:
        warn(line)
    return source, data is None and classifier.members[0].meta.config.data.on_corrupt == "skip"


def _batches(
    call: Callable[..., Iterator[tuple[HostBatch, _T]]],
    source: ImageSource,
    batch_size: int,
    workers: int | None,
    cores: int,
    progress: Callable[[Any, int], Any],
    tta: Tta,
) -> Iterable[tuple[HostBatch, _T]]:
    """Return the batches of a classifier's ``evaluate_batches`` or ``stream``, behind a progress bar."""
    workers = default_workers(cores, source) if workers is None else workers
    return progress(call(source, batch_size, workers, threads=cores, tta=tta), -(-len(source) // batch_size))


def _readable(
    batches: Iterable[tuple[HostBatch, _T]],
    classifier: Predictor,
    batch_size: int,
    skip: bool,
    warn: Callable[[str], None],
) -> Iterator[tuple[HostBatch, _T]]:
    """Yield the batches; raise at an image that cannot be read, or warn; say at the end what was not taken whole."""
    remarks: collections.Counter[str] = collections.Counter()
    with out_of_memory(batch_size, classifier.image_size):
        for host, found in batches:
            for error in host.errors:
                if not skip:
                    raise JaxnextError(str(error))
                warn(f"{error}; it is left out")
            remarks.update(host.remarks)
            yield host, found
    for line in remark_lines(remarks):
        warn(line)


def labelled(
    classifier: Predictor,
    data: Sequence[Path] | None,
    index: Path | None = None,
    tfds_folder: str | None = None,
) -> tuple[ImageSource, list[str]]:
    """Return the images to evaluate on, labelled in the classifier's order, and lines about what was left out.

    Arguments as for ``evaluate``.
    """
    if data is not None:
        parts = [class_folders(open_tree(path), classifier.classes) for path in data]
        lines = [
            f"{path}: {line}"
            for path, part in zip(data, parts, strict=True)
            if (line := describe_left_out(part.left_out))
        ]
        return parts[0] if len(parts) == 1 else JoinedSource(parts, classifier.classes), lines
    first, *others = classifier.members
    config = first.meta.config
    splits = load_splits(config.data, config.seed, index, tfds_folder)
    name = config.data.path or config.data.source
    if splits.classes != classifier.classes[: len(splits.classes)]:
        raise JaxnextError(
            f"{name}: expected the classes of the run, {list(classifier.classes)}, "
            f"found {list(splits.classes)}; give --data"
        )
    own = fingerprint(splits.validation)
    if first.meta.validation not in (None, own):
        raise JaxnextError(
            f"{name}: the validation images are no longer those of the run, so that some may have been "
            "trained on; give --data"
        )
    for other in others:
        if other.meta.validation not in (None, own):
            raise JaxnextError(
                f"{other.checkpoint}: expected the validation images of {first.checkpoint}, found others, so that some "
                "may have been trained on; give --data"
            )
    return splits.validation, list(splits.warnings)


class Evaluation(NamedTuple):
    """Figures of labelled images."""

    images: int
    loss: float
    """mean cross-entropy"""
    accuracy: float
    """share of the images whose label is the likeliest class, 0 to 1"""
    top5_accuracy: float
    """the same, among the five likeliest"""
    class_accuracy: dict[str, float]
    """accuracy by name of the class, NaN where it has no image"""
    class_images: dict[str, int]
    """images by name of the class"""


def figures(sums: Accumulator, classes: tuple[str, ...]) -> Evaluation:
    """Return the figures that metric sums give."""
    counts, correct = (sums.sums[name].tolist() for name in ("class_count", "class_correct"))
    shares = [right / count if count else float("nan") for right, count in zip(correct, counts, strict=True)]
    return Evaluation(
        int(sums.sums["count"]),
        sums.mean("loss"),
        sums.mean("correct"),
        sums.mean("correct_top5"),
        dict(zip(classes, shares, strict=True)),
        dict(zip(classes, counts, strict=True)),
    )


def report(sums: Accumulator, classes: tuple[str, ...]) -> str:
    """Return loss, top-1 and top-5 over all images, then the accuracy of each class that has images."""
    lines = [
        f"images           {int(sums.sums['count']):,}",
        f"loss             {sums.mean('loss'):.4f}",
        f"top-1 accuracy   {sums.mean('correct'):.2%}",
    ]
    # Among five classes or fewer every label is among the top five.
    if len(classes) > TOP:
        lines.append(f"top-{TOP} accuracy   {sums.mean('correct_top5'):.2%}")
    width = max(len("class"), *(len(name) for name in classes))
    lines.append(f"\n{'class':<{width}}  images  accuracy")
    for name, count, correct in zip(classes, sums.sums["class_count"], sums.sums["class_correct"], strict=True):
        share = f"{correct / count:8.2%}" if count else "       -"
        lines.append(f"{name:<{width}}  {count:6,}  {share}")
    return "\n".join(lines)
