"""What tests of loggers show: two epochs, the second after a resume."""

from pathlib import Path

import numpy as np

from jaxnext.training.logger import Begun, Logger, Shown

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def show(logger: Logger, folder: Path) -> str:
    """Begin, show a picture and an epoch, go on, show another; return the id."""
    log = logger.open(Begun(folder, {"epochs": 2, "data.path": None}, 0, None))
    log.show(Shown(0, images={"first_batch": IMAGE}))
    log.show(Shown(1, {"loss/val": 1.5}, histograms={"logits/val": np.array([1.0, 2.0])}))
    log.close(failed=True)
    again = logger.open(Begun(folder, {"epochs": 3, "data.path": None}, 1, log.id))
    assert again.id == log.id
    again.show(Shown(2, {"loss/val": 0.5}))
    again.close(failed=False)
    return log.id
