"""Nets that the benchmark's tests measure in seconds."""

import dataclasses

from flat_config import model_config

from jaxnext.config.sections import Config, DataConfig

MODEL = model_config(
    stage_sizes=(1, 1),
    widths=(4, 8),
    features=(8, 16),
    stem_features=4,
    groups=2,
    attention="cbam",
    reduction=4,
    head="fc",
    head_widths=(8,),
    dropout=0.0,
    classes=5,
)
"""Two stages, so that one has a stride."""

SMALLEST = dataclasses.replace(MODEL, stage_sizes=(1,), widths=(4,), features=(8,))

CONFIG = Config(batch_size=2, data=DataConfig(image_size=32), model=SMALLEST)


class Ticks:
    """A clock that shows one second more each time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now
