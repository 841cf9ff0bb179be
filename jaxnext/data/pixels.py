"""How an image file becomes the pixels that a network sees: the settings that decide it, together."""

import dataclasses
from typing import Any, Literal, Self

from jaxnext.config.sections import DataConfig


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Everything that changes pixels, and so a part of the key of all that keeps them."""

    size: tuple[int, int]
    """height and width of the result"""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    crop_share: float = 0.875
    orientation: Literal["exif", "stored"] = "exif"
    depth: Literal["scale", "clip"] = "scale"
    background: Literal["white", "black", "ignore"] = "white"

    @classmethod
    def of(cls, data: DataConfig) -> Self:
        """Return what a config's ``data`` section says; there the fields are explained."""
        return cls(data.size, data.resize, data.crop_share, data.orientation, data.depth, data.background)

    @classmethod
    def in_training(cls, data: DataConfig, epochs: int) -> Self:
        """Return the rules for training images after so many epochs; ``of`` has those of validation and prediction."""
        return dataclasses.replace(cls.of(data), size=data.train_size(epochs))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: height, width and three channels."""
        return (*self.size, 3)

    @property
    def bytes(self) -> int:
        """Of an image."""
        return self.size[0] * self.size[1] * 3

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; ``crop_share`` only where it matters."""
        values = dataclasses.asdict(self) | {"size": list(self.size)}
        if self.resize != "crop":
            del values["crop_share"]
        return values
