"""The report of a run, on its own validation images, predicted once."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxnext.atomic import whole_file
from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.threads import in_order
from jaxnext.engine.network import network
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import Evaluated, predict_labelled
from jaxnext.inference.report_overlays import report_maps
from jaxnext.models.summary import parameter_counts, variable_shapes
from jaxnext.reporting.report_images import select, within
from jaxnext.reporting.report_maps import letters
from jaxnext.reporting.report_page import Report, report_page
from jaxnext.reporting.run_facts import RunFacts
from jaxnext.reporting.thumbnails import data_uri

_SIDE, _QUALITY = 112, 75
"""Pixels of a thumbnail's longer side, and quality of its JPEG."""
_LETTERS = 3_600_000
"""Of all thumbnails together, so that a page stays below 5 MB."""


def write_report(
    classifier: TrainedClassifier,
    run: RunFacts,
    name: str,
    output: Path,
    *,
    batch_size: int,
    workers: int | None,
    cores: int,
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    images_bar: Callable[[int], Any],
    index: Path | None = None,
    tfds_folder: str | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        classifier: the run's best checkpoint.
        run: what the run's folder says.
        name: of the run, as the page has it.
        output: the HTML file.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        cores: processor cores, from which the number of workers is chosen, and threads.
        warn: shows a line about what was left out.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.
        images_bar: gives a progress bar over so many images.
        index: folder that keeps the listings of image folders; ``None``: they are not kept.
        tfds_folder: where data sets of TFDS are unless the run's config says.

    Raises:
        JaxnextError: the validation images are no longer the run's, one cannot be read, or the page not be written.
    """
    evaluated = predict_labelled(
        classifier,
        None,
        batch_size=batch_size,
        workers=workers,
        cores=cores,
        warn=warn,
        progress=progress,
        index=index,
        tfds_folder=tfds_folder,
    )
    config = classifier.meta.config
    selection = select(evaluated.predictions)
    maps = report_maps(classifier, evaluated)
    with images_bar(len(selection.numbers)) as bar:
        drawn = pictures(evaluated, selection.numbers, Pixels.of(config.data), cores, bar.update)
        kept = within(drawn, _LETTERS - letters(maps))
    shapes = variable_shapes(network(config.model, len(classifier.classes), config.precision))
    report = Report(
        name,
        run,
        parameter_counts(shapes["params"]),
        evaluated.predictions,
        selection,
        kept,
        classifier.meta.epoch,
        maps,
    )
    with whole_file(output) as file:
        file.write(report_page(report))


def pictures(
    evaluated: Evaluated, numbers: list[int], pixels: Pixels, threads: int, done: Callable[[int], object]
) -> Iterator[tuple[int, str | None]]:
    """Yield number and thumbnail's address of images; ``None`` for one that cannot be read any more.

    Args:
        evaluated: has the images.
        numbers: of the images among the predictions.
        pixels: say how they are decoded.
        threads: that decode.
        done: told of each image.
    """
    calls = (functools.partial(_picture, evaluated, number, pixels) for number in numbers)
    for number, address in zip(numbers, in_order(calls, threads), strict=True):
        done(1)
        yield number, address


def _picture(evaluated: Evaluated, number: int, pixels: Pixels) -> str | None:
    try:
        image = decode(evaluated.source.read(int(evaluated.numbers[number])), pixels)
    except (CorruptImage, OSError):  # it could be read before
        return None
    return data_uri(image, _SIDE, _QUALITY)
