"""Loss and accuracies of a trained classifier on labelled images."""

import collections
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxnext.data.archive import open_tree
from jaxnext.data.class_folders import class_folders
from jaxnext.data.image_source import ImageSource, fingerprint
from jaxnext.data.joined_source import JoinedSource
from jaxnext.data.listing import describe_left_out
from jaxnext.data.loader import default_workers
from jaxnext.data.remarks import lines as remark_lines
from jaxnext.data.splits import load_splits
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.metrics import TOP, Accumulator


def evaluate(
    classifier: TrainedClassifier,
    data: Sequence[Path] | None,
    *,
    batch_size: int,
    workers: int | None,
    cores: int,
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    index: Path | None = None,
    tfds_folder: str | None = None,
) -> Accumulator:
    """Return metric sums over labelled images; each counts exactly once.

    Args:
        classifier: that is evaluated.
        data: folders or archives of class folders, matched to the classifier's classes by name; ``None``: the
            validation images of the run.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        cores: processor cores, from which the number of workers is chosen, and threads where there are none.
        warn: shows a line about what was left out.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.
        index: folder that keeps the listings of image folders from one start to the next; ``None``: they are not kept.
        tfds_folder: where data sets of TFDS are unless the run's config says.

    Raises:
        JaxnextError: a class folder that the classifier does not know, or an image that cannot be read, unless it is of
            a run that was to skip such, where it is a warning.
    """
    skip = data is None and classifier.meta.config.data.on_corrupt == "skip"
    source, lines = labelled(classifier, data, index, tfds_folder)
    for line in lines:
        warn(line)
    workers = default_workers(cores, source) if workers is None else workers
    sums, remarks = Accumulator(), collections.Counter()
    batches = classifier.evaluate(source, batch_size, workers, threads=cores)
    with out_of_memory(batch_size, classifier.image_size):
        for host, batch_sums in progress(batches, -(-len(source) // batch_size)):
            for error in host.errors:
                if not skip:
                    raise JaxnextError(str(error))
                warn(f"{error}; it is left out")
            sums.add(batch_sums)
            remarks.update(host.remarks)
    for line in remark_lines(remarks):
        warn(line)
    return sums


def labelled(
    classifier: TrainedClassifier,
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
    config = classifier.meta.config
    splits = load_splits(config.data, config.seed, index, tfds_folder)
    name = config.data.path or config.data.source
    if splits.classes != classifier.classes[: len(splits.classes)]:
        raise JaxnextError(
            f"{name}: expected the classes of the run, {list(classifier.classes)}, "
            f"found {list(splits.classes)}; give --data"
        )
    if classifier.meta.validation not in (None, fingerprint(splits.validation)):
        raise JaxnextError(
            f"{name}: the validation images are no longer those of the run, so that some may have been "
            "trained on; give --data"
        )
    return splits.validation, list(splits.warnings)


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
