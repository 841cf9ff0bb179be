"""Each image as it is, and mirrored."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Views:
    """Two views: the image, and left and right exchanged, as torchvision's ``hflip``."""

    def views(self, images: "jax.Array") -> "tuple[jax.Array, ...]":
        """Return the images ``[B, H, W, 3]``, then the mirrored ones."""
        return images, images[:, :, ::-1]
