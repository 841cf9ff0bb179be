"""The four corners and the centre of each image."""

import dataclasses
from typing import TYPE_CHECKING

from jaxnext.config.values import require

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Views:
    """Five views, torchvision's ``FiveCrop``: top left, top right, bottom left, bottom right, centre.

    They are smaller than the image and are not resized: a head that pools over the whole map takes every size.
    """

    crop_share: float = 0.875
    """share of height and of width that a crop keeps, rounded to whole pixels"""

    def __post_init__(self) -> None:
        require(0 < self.crop_share <= 1, "tta.crop_share", "a share above 0 and at most 1", self.crop_share)

    def views(self, images: "jax.Array") -> "tuple[jax.Array, ...]":
        """Return the five crops ``[B, h, w, 3]`` of images ``[B, H, W, 3]``."""
        height, width = images.shape[1:3]
        tall, wide = (max(round(side * self.crop_share), 1) for side in (height, width))
        # Halves to the even number, as torchvision's round.
        middle = round((height - tall) / 2), round((width - wide) / 2)
        corners = [(top, left) for top in (0, height - tall) for left in (0, width - wide)]
        return tuple(images[:, top : top + tall, left : left + wide] for top, left in (*corners, middle))
