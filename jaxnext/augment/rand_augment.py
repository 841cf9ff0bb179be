"""RandAugment: a few operations an image, all of one strength."""

import dataclasses

from jaxnext.augment.operations.draws import check_size, uniform
from jaxnext.augment.operations.magnitudes import narrow
from jaxnext.augment.operations.operation import NAMES, UNSIGNED, Operations, operation
from jaxnext.augment.operations.policy import PolicyOptions
from jaxnext.config.values import require


@dataclasses.dataclass(frozen=True)
class Augmentation(PolicyOptions):
    """For each image some of fourteen operations are drawn, with repetition, and applied in turn at one strength.

    Ranges and pixels are those of torchvision's ``RandAugment()`` on Pillow images
    (Cubuk and others, https://arxiv.org/abs/1909.13719).
    """

    num_ops: int = 2
    """operations an image"""
    magnitude: int = 9
    """their strength, from 0 to num_magnitude_bins - 1"""
    num_magnitude_bins: int = 31
    """into how many strengths the range of each operation is divided"""

    def __post_init__(self) -> None:
        super().__post_init__()
        key = "augment.rand_augment"
        require(self.num_ops >= 0, f"{key}.num_ops", "at least 0", self.num_ops)
        require(self.num_magnitude_bins >= 2, f"{key}.num_magnitude_bins", "at least 2", self.num_magnitude_bins)
        last = self.num_magnitude_bins - 1
        require(0 <= self.magnitude <= last, f"{key}.magnitude", f"a number from 0 to {last}", self.magnitude)

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Operations:
        """Draw the operations of each image: uniform among names and, where there are two, directions."""
        check_size(image_size)
        table = {name: narrow(name, self.num_magnitude_bins, image_size) for name in NAMES}
        numbers = uniform(seed, step, rows, 2 * self.num_ops).reshape(rows, self.num_ops, 2)
        drawn = []
        for row in numbers.tolist():
            drawn.append([])
            for which, sign in row:
                name = NAMES[int(which * len(NAMES))]
                magnitudes = table[name]
                magnitude = 0.0 if magnitudes is None else magnitudes[self.magnitude]
                negative = name not in UNSIGNED and sign < 0.5
                drawn[-1].append(operation(name, -magnitude if negative else magnitude, image_size))
        return self.batch(drawn)
