"""Predictions of a folder of images to a CSV file."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.atomic import whole_file
from jaxnext.data.bad_image import BadImage
from jaxnext.data.corrupt_list import check_corrupt, write_corrupt
from jaxnext.data.folder_source import FolderSource, files_source
from jaxnext.data.listing import describe_left_out
from jaxnext.data.loader import default_workers
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.classifier import TrainedClassifier

CORRUPT_STATUS = 1
"""Exit status where an image could not be read."""


def predict_to_csv(
    classifier: TrainedClassifier,
    data: Sequence[Path],
    output: Path,
    *,
    probabilities: bool,
    top_k: int | None,
    batch_size: int,
    workers: int | None,
    keep_extension: bool,
    cores: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
) -> int:
    """Write one row per image, sorted by path. The file appears whole or not at all.

    An image that cannot be read has no row; it is named in a warning and in ``<output>.errors.csv``.

    Args:
        classifier: that predicts.
        data: folders and image files.
        output: the CSV file.
        probabilities: a column ``prob_<class>`` for each class, in the checkpoint's order.
        top_k: columns ``label_1,prob_1`` and so on for the likeliest classes, or ``None``.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        keep_extension: row names keep their file extension.
        cores: processor cores, from which the number of workers is chosen, and threads where there are none.
        say: shows a line to the user.
        warn: the same, for what went wrong.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.

    Returns:
        the exit status: 0, or 1 where an image could not be read.

    Raises:
        JaxnextError: no images, two of one name, an output that cannot be written.
    """
    if top_k is not None and not 1 <= top_k <= len(classifier.classes):
        raise UsageError(f"--top_k: expected 1 to {len(classifier.classes)}, the number of classes, found {top_k}")
    source = files_source(data)
    if line := describe_left_out(source.left_out):
        warn(line)
    check_rows(source, keep_extension)
    errors_file = output.with_name(output.name + ".errors.csv")
    check_corrupt(errors_file)
    workers = default_workers(cores, source) if workers is None else workers
    failed: list[BadImage] = []
    with out_of_memory(batch_size, classifier.image_size), whole_file(output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header(classifier.classes, probabilities, top_k))
        batches = classifier.stream(source, batch_size, workers, threads=cores)
        for host, rows in progress(batches, -(-len(source) // batch_size)):
            for error in host.errors:
                warn(str(error))
                failed.append(error)
            for position in np.flatnonzero(host.mask):
                name = row_name(source.names[host.ids[position]], keep_extension)
                table.writerow([name, *cells(rows[position], classifier.classes, probabilities, top_k)])
    write_corrupt(errors_file, failed)
    say(f"{output}: {len(source) - len(failed):,} images")
    if failed:
        warn(f"{errors_file}: {len(failed):,} of {len(source):,} images cannot be read")
    return CORRUPT_STATUS if failed else 0


def row_name(name: str, keep_extension: bool) -> str:
    """The name of an image's row: its path relative to its folder, with or without extension."""
    return name if keep_extension else name[: name.rindex(".")]


def check_rows(source: FolderSource, keep_extension: bool) -> None:
    """Refuses images whose rows would not tell them apart, or could not be written.

    It keeps eight bytes an image, not the names: they are made when the rows are written.

    Raises:
        JaxnextError: two images would share a name; both are named. Or a name is not UTF-8.
    """
    hashes = np.empty(len(source), np.int64)
    for i, name in enumerate(source.names):
        row = row_name(name, keep_extension)
        if not row.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in row):
            raise JaxnextError(
                f"{source.location(i)!a}: expected a file name in UTF-8, found bytes that are not; rename it"
            )
        hashes[i] = hash(row)
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return
    seen: dict[str, int] = {}
    # Different names may have one hash.
    for i in np.flatnonzero(np.isin(hashes, twice)).tolist():
        row = row_name(source.names[i], keep_extension)
        if row in seen:
            help_ = "predict the folders one at a time" if keep_extension else "set --keep_extension true"
            first, second = source.location(seen[row]), source.location(i)
            raise JaxnextError(f"{first} and {second} would both be the row {row!r}; {help_}")
        seen[row] = i


def header(classes: Sequence[str], probabilities: bool, top_k: int | None) -> list[str]:
    """The CSV's first row."""
    columns = ["image_name", "pred_label"]
    for rank in range(1, (top_k or 0) + 1):
        columns += [f"label_{rank}", f"prob_{rank}"]
    return columns + ([f"prob_{name}" for name in classes] if probabilities else [])


def cells(row: NDArray[np.floating], classes: Sequence[str], probabilities: bool, top_k: int | None) -> list[str]:
    """One row after its name: label, likeliest classes, probabilities with nine digits, which a float32 needs.

    Args:
        row: ``[classes]``, probabilities; of equal ones the earlier class comes first.
        classes: their names.
        probabilities: all of them, last.
        top_k: how many of the likeliest, or ``None``.
    """
    order = np.argsort(-row, kind="stable")
    values = [str(classes[order[0]])]
    for k in order[: top_k or 0]:
        values += [classes[k], f"{row[k]:.9g}"]
    return values + ([f"{p:.9g}" for p in row] if probabilities else [])
