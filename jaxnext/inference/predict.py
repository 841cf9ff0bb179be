"""Predictions of a folder of images to a CSV file."""

import collections
import contextlib
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.atomic import whole_file
from jaxnext.config.choice import NONE
from jaxnext.data.corrupt_list import check_corrupt, write_corrupt
from jaxnext.data.loader import default_workers
from jaxnext.data.remarks import lines
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import UsageError
from jaxnext.inference.embedding_file import check_embedding_file, embedding_file
from jaxnext.inference.overlays import Explanation, overlay_writer
from jaxnext.inference.predictor import Predictor, Tta
from jaxnext.inference.rows import NamesTable, rows_of
from jaxnext.inference.threshold import UNKNOWN, answer

CORRUPT_STATUS = 1
"""Exit status where an image could not be read."""


def predict_to_csv(
    classifier: Predictor,
    data: Sequence[Path],
    output: Path,
    *,
    probabilities: bool,
    top_k: int | None,
    batch_size: int,
    workers: int | None,
    keep_extension: bool,
    table: NamesTable | None = None,
    columns: tuple[str, str],
    cores: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    tta: Tta = NONE,
    explanation: Explanation | None = None,
    threshold: float | None = None,
    energy: bool = False,
    embeddings: Path | None = None,
) -> int:
    """Write one row per image, sorted by path, or the rows of a table. The file appears whole or not at all.

    An image that cannot be read has no row, or in a table one without a label; it is named in a warning and in
    ``<output>.errors.csv``.

    Args:
        classifier: that predicts.
        data: folders and image files, or an archive.
        output: the CSV file.
        probabilities: a column ``prob_<class>`` for each class, in the checkpoint's order.
        top_k: columns ``label_1,prob_1`` and so on for the likeliest classes, or ``None``.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        keep_extension: row names keep their file extension.
        table: the file whose images are predicted, in its order; ``None``: all images of ``data``.
        columns: names of the first two columns.
        cores: processor cores, from which the number of workers is chosen, and threads where there are none.
        say: shows a line to the user.
        warn: the same, for what went wrong.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.
        tta: test-time augmentation.
        explanation: also pictures of where the net looks, one for each row with a label; it sees each image once there,
            without test-time augmentation, and explains the likeliest class of the row.
        threshold: least probability of the predicted class; below it the label is ``unknown``.
        energy: a column of it, of one net without test-time augmentation.
        embeddings: also a file of them, ``.npz`` or ``.parquet``, one row for each row with a label; the net sees each
            image once more for it, without test-time augmentation.

    Returns:
        the exit status: 0, or 1 where an image could not be read.

    Raises:
        JaxnextError: no images, two of one name, an output that cannot be written.
    """
    if top_k is not None and not 1 <= top_k <= len(classifier.classes):
        raise UsageError(f"--top_k: expected 1 to {len(classifier.classes)}, the number of classes, found {top_k}")
    rows = rows_of(data, table, keep_extension, warn)
    source = rows.source
    draw = None
    if explanation is not None:
        draw = overlay_writer(classifier, explanation, data, source.names, batch_size)
    vectors = None
    if embeddings is not None:
        check_embedding_file(embeddings)
        vectors = classifier.only_net("embeddings")
    errors_file = output.with_name(output.name + ".errors.csv")
    check_corrupt(errors_file)
    workers = default_workers(cores, source) if workers is None else workers
    failed = list(rows.failed)
    for error in failed:
        warn(str(error))
    remarks: collections.Counter[str] = collections.Counter()
    kept = contextlib.nullcontext() if embeddings is None else embedding_file(embeddings)
    with out_of_memory(batch_size, classifier.image_size), kept as add, whole_file(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        head = header(classifier.classes, probabilities, top_k, columns)
        head += ["energy"] * energy
        writer.writerow(head)
        if energy:
            batches = classifier.stream_energies(source, batch_size, workers, threads=cores)
        else:
            streamed = classifier.stream(source, batch_size, workers, threads=cores, tta=tta)
            batches = ((host, (found, None)) for host, found in streamed)
        unknown = 0
        for host, (found, energies) in progress(batches, -(-len(source) // batch_size)):
            for error in host.errors:
                warn(str(error))
                failed.append(error)
            remarks.update(host.remarks)
            if draw is not None:
                draw(host, found)
            if add is not None and vectors is not None and host.mask.any():
                names = [rows.name(int(number)) for number in host.ids[host.mask]]
                add(names, vectors.embeddings(host.image[host.mask], batch_size))
            for position in np.flatnonzero(host.mask if table is None else host.ids >= 0):
                name = rows.name(int(host.ids[position]))
                if host.mask[position]:
                    row = cells(found[position], classifier.classes, probabilities, top_k)
                    row[0] = answer(row[0], float(found[position].max()), threshold)
                    unknown += threshold is not None and row[0] == UNKNOWN
                    row += [] if energies is None else [f"{energies[position]:.9g}"]
                    writer.writerow([name, *row])
                else:
                    writer.writerow([name, *[""] * (len(head) - 1)])
    write_corrupt(errors_file, failed)
    for line in lines(remarks):
        warn(line)
    total = len(source) + len(rows.failed)
    said = f"{output}: {total - len(failed):,} images"
    say(said if threshold is None else f"{said}, {unknown:,} of them {UNKNOWN}")
    if explanation is not None:
        say(f"{explanation.folder}: {total - len(failed):,} pictures of {explanation.method}")
    if embeddings is not None:
        say(f"{embeddings}: {total - len(failed):,} embeddings")
    if failed:
        warn(f"{errors_file}: {len(failed):,} of {total:,} images cannot be read")
    return CORRUPT_STATUS if failed else 0


def header(classes: Sequence[str], probabilities: bool, top_k: int | None, columns: tuple[str, str]) -> list[str]:
    """Return the CSV's first row."""
    names = [*columns]
    for rank in range(1, (top_k or 0) + 1):
        names += [f"label_{rank}", f"prob_{rank}"]
    return names + ([f"prob_{name}" for name in classes] if probabilities else [])


def cells(row: NDArray[np.floating], classes: Sequence[str], probabilities: bool, top_k: int | None) -> list[str]:
    """Return a row after its name: label, likeliest classes, probabilities with nine digits, which a float32 needs.

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
