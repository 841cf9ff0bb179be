"""A report of a made-up run, with names that would break a page."""

import numpy as np
from predicted import predictions
from test_curves import history_of

from jaxnext.config.overrides import override
from jaxnext.config.sections import Config
from jaxnext.data.bad_image import BadImage
from jaxnext.reporting.predictions import Predictions
from jaxnext.reporting.report_images import select
from jaxnext.reporting.report_maps import ImageMaps, images_with_maps
from jaxnext.reporting.report_page import Report
from jaxnext.reporting.run_facts import RunFacts
from jaxnext.reporting.thumbnails import data_uri

EVIL = "</script><script>alert(1)</script>"
"""A name of a class, and of a file."""


def facts(epochs: int = 3) -> RunFacts:
    """Of a run of so many epochs."""
    pace = {"images_per_second": 10.0, "data_wait_fraction": 0.25, "seconds": 8.0}
    return RunFacts(
        override(Config(), {"epochs": 7, "data.path": EVIL}),
        [record | pace for record in history_of(epochs)],
        {"jax": "0.10", "commit": None, "devices": ["cpu"], "platform": "cpu", "processes": 1}
        | {"train_images": 1200, "val_images": 60, "classes": ["a"] * 7},
        [BadImage(f"{EVIL}.png", "the file is empty")],
    )


def evil_predictions() -> Predictions:
    """Of sixty images and seven classes, of which the first has an evil name."""
    found = predictions(60)
    classes = (EVIL, "'\"&", "$x$", *found.classes[3:])
    paths = [f"val/{EVIL}.jpg", *found.paths[1:]]
    return Predictions(paths, found.truth, found.probabilities, classes)


def report() -> Report:
    """All of it, with a picture for every image but the last two of the selection: one is gone, one has no room."""
    grey = data_uri(np.full((8, 8, 3), 99, np.uint8), 8, 75)
    found = evil_predictions()
    selection = select(found)
    pictures: dict[int, str | None] = {
        number: data_uri(np.full((8, 8, 3), number, np.uint8), 8, 75) for number in selection.numbers[:-1]
    }
    pictures[selection.numbers[-2]] = None
    maps = [
        ImageMaps(number, (("image", grey), ("Grad-CAM", grey), ("CBAM", grey))) for number in images_with_maps(found)
    ]
    return Report(f"run {EVIL}", facts(), {"stem": 1500, "head": 20}, found, selection, pictures, 2, maps)
