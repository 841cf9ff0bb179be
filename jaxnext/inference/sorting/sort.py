"""Images of folders and archives into a folder for each predicted class."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnext.config.choice import NONE
from jaxnext.data.archive import is_archive
from jaxnext.data.corrupt_list import check_corrupt, write_corrupt
from jaxnext.data.image_source import ImageSource, Subset, some
from jaxnext.data.listing import describe_left_out
from jaxnext.data.loader import default_workers
from jaxnext.data.remarks import lines
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.predictor import Predictor, Tta
from jaxnext.inference.rows import images_of
from jaxnext.inference.sorting.journal import ERRORS, SETTINGS, Journal, Placement, check_settings
from jaxnext.inference.sorting.lock import locked
from jaxnext.inference.sorting.placing import Mode
from jaxnext.inference.sorting.recovery import recover
from jaxnext.inference.sorting.sorter import Sorter

FAILED_STATUS = 1
"""Exit status where an image stays where it is."""


def sort_images(
    classifier: Predictor,
    data: Sequence[Path],
    output: Path,
    *,
    mode: Mode,
    threshold: float | None,
    options: Mapping[str, Any],
    batch_size: int,
    workers: int | None,
    cores: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    tta: Tta = NONE,
) -> int:
    """Put each image into the folder of its predicted class; go on with what an earlier call has not finished.

    No file is overwritten: an image whose name is taken gets another, which the table says. An image that cannot be
    read stays where it is; it is named in a warning and in ``sorted.csv.errors.csv``.

    Args:
        classifier: that predicts.
        data: folders, image files, and archives, from which images are copied only.
        output: the folder that receives the folders of the classes, and the table ``sorted.csv``.
        mode: ``copy``, ``link`` (symbolic, absolute) or ``move``.
        threshold: probability of the predicted class below which an image goes to ``unknown``; ``None``: none does.
        options: further ones that decide the predictions, by their name, as JSON has them; a later call has the same.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        cores: processor cores.
        say: shows a line to the user.
        warn: the same, for what went wrong.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.
        tta: test-time augmentation.

    Returns:
        the exit status: 0, or 1 where an image could not be read or put into its place.

    Raises:
        UsageError: data and output are in one another, or archives or links that are to be moved.
        JaxnextError: no images, other options than those of the earlier call, another process that sorts into the
            folder, or a file that cannot be written.
    """
    places = [_full(path) for path in data]
    source, left_out = images_of(places, may_lack=(output / SETTINGS).exists())
    _check(source, places, output, mode)
    if line := describe_left_out(left_out):
        warn(line)
    # As a later call reads them: a tuple becomes a list.
    settings = json.loads(json.dumps({"mode": mode, "threshold": threshold, **options}))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JaxnextError(f"{output}: the folder cannot be made ({error.strerror})") from error
    with locked(output), out_of_memory(batch_size, classifier.image_size):
        journal, errors_file = Journal(output), output / ERRORS
        check_corrupt(errors_file)
        _begin(journal, settings)
        placed = recover(journal)
        source = _left(source, placed)
        if placed:
            say(f"{output}: going on after {len(placed):,} images; {len(source):,} are left")
        workers = default_workers(cores, source) if workers is None else workers
        sorter = Sorter(journal, source, mode, threshold, classifier.classes, warn)
        batches = classifier.stream(source, batch_size, workers, threads=cores, tta=tta) if len(source) else ()
        for host, found in progress(batches, -(-len(source) // batch_size)):
            sorter.place(host, found)
        journal.end()
        write_corrupt(errors_file, sorter.failed)
    for line in lines(sorter.remarks):
        warn(line)
    for folder, count in sorted(sorter.counts.items()):
        say(f"{output / folder}: {count:,} images")
    say(f"{journal.table}: {sum(sorter.counts.values()):,} images ({mode})")
    if sorter.failed:
        warn(f"{errors_file}: {len(sorter.failed):,} of {len(source):,} images stay where they are")
    return FAILED_STATUS if sorter.failed else 0


def _full(path: Path) -> Path:
    """The full path of data by which its images are known; a file that is a link keeps its name."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def _check(source: ImageSource, data: Sequence[Path], output: Path, mode: Mode) -> None:
    """Refuse what would sort the sorted, and what cannot be moved or linked."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: expected the name of a folder, found the file {output}")
    if mode != "copy" and (archives := [path for path in data if is_archive(path)]):
        raise UsageError(f"--mode {mode}: expected images in folders, found the archive {archives[0]}; copy its images")
    place = output.resolve()
    locations = list(map(source.location, range(len(source))))
    folders = {os.path.dirname(location) for location in locations}  # noqa: PTH120 - there may be millions
    for folder in [*data, *map(Path, sorted(folders))]:
        real = folder.resolve()
        if real.is_relative_to(place) or (folder in data and place.is_relative_to(real)):
            raise UsageError(
                f"--output: expected a folder that neither holds images to sort nor lies among them, found {output} "
                f"and the images of {folder}"
            )
    if mode == "move" and (links := [number for number, path in enumerate(locations) if os.path.islink(path)]):  # noqa: PTH114
        raise UsageError(
            f"--mode move: expected files, found {len(links):,} links: {some(locations, links)}; copy or link them"
        )


def _begin(journal: Journal, settings: dict[str, Any]) -> None:
    before = journal.settings()
    if before is not None:
        check_settings(journal.folder, before, settings)
    elif journal.table.exists():
        raise JaxnextError(
            f"{journal.table}: expected {SETTINGS} beside it, with the options of that sort, found none; sort into "
            "another folder"
        )
    else:
        journal.write_settings(settings)


def _left(source: ImageSource, placed: Sequence[Placement]) -> ImageSource:
    """The images that are still to be placed. One that was moved and is there again is another."""
    known = {row.source for row in placed if row.mode != "move" or not os.path.lexists(row.source)}
    left = [number for number in range(len(source)) if source.location(number) not in known]
    return Subset(source, np.array(left, np.int64))
