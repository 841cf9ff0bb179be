"""Training augmentation, one operation a file, and the list of them that a run applies.

Parameters are drawn on the host, for the whole global batch, as a function of seed, step and place in the batch: the
number of devices and processes changes nothing. Pixels are changed on the device, inside the training step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax


class Augmentation(Protocol):
    """What each file's dataclass ``Augmentation`` offers; its fields are the options."""

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Any:
        """Draw the parameters of a batch, on the host.

        Args:
            seed: 0 to 2**64 - 1.
            step: number of the training step.
            rows: of the global batch; row ``i`` must not depend on it.
            image_size: height and width of the images in pixels, as it is given them.

        Returns:
            a tree of NumPy arrays, each with ``rows`` rows.
        """
        ...

    def apply(self, images: "jax.Array", drawn: Any) -> "jax.Array":
        """Change uint8 images ``[B, H, W, 3]`` as their rows of what was drawn say; pure and local to each image."""
        ...


@runtime_checkable
class Resizing(Protocol):
    """What an augmentation offers besides where its images may have another size than those it is given."""

    def size_after(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of what becomes of images of a size."""
        ...


def draw_all(
    augmentations: Sequence[Augmentation], seed: int, step: int, rows: int, image_size: tuple[int, int]
) -> tuple[Any, ...]:
    """Draw the parameters of every augmentation of a list, each from random numbers of its own."""
    drawn = []
    for place, each in enumerate(augmentations):
        # A run's seed has 32 bits; the place in the list stands above them.
        drawn.append(each.draw(seed + (place << 32), step, rows, image_size))
        image_size = size_after([each], image_size)
    return tuple(drawn)


def size_after(augmentations: Sequence[Augmentation], image_size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of what a list makes of images of a size."""
    for each in augmentations:
        image_size = each.size_after(image_size) if isinstance(each, Resizing) else image_size
    return image_size


def apply_all(augmentations: Sequence[Augmentation], images: "jax.Array", drawn: Sequence[Any]) -> "jax.Array":
    """Apply every augmentation of a list in order, each with what ``draw_all`` gave for it."""
    for each, parameters in zip(augmentations, drawn, strict=True):
        images = each.apply(images, parameters)
    return images
