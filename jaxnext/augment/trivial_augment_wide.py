"""TrivialAugment with its wide ranges: one operation an image, at any strength."""

import dataclasses

from jaxnext.augment.operations.draws import check_size, uniform
from jaxnext.augment.operations.magnitudes import wide
from jaxnext.augment.operations.operation import NAMES, UNSIGNED, Operations, operation
from jaxnext.augment.operations.policy import PolicyOptions
from jaxnext.config.values import require


@dataclasses.dataclass(frozen=True)
class Augmentation(PolicyOptions):
    """For each image one of fourteen operations is drawn, and its strength.

    Ranges and pixels are those of torchvision's ``TrivialAugmentWide()`` on Pillow images
    (Müller and Hutter, https://arxiv.org/abs/2103.10158).
    """

    num_magnitude_bins: int = 31
    """strengths to draw from, the first of which changes nothing"""

    def __post_init__(self) -> None:
        super().__post_init__()
        key = "augment.trivial_augment_wide.num_magnitude_bins"
        require(self.num_magnitude_bins >= 2, key, "at least 2", self.num_magnitude_bins)

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Operations:
        """Draw the operation of each image: uniform among names, strengths and, where there are two, directions."""
        check_size(image_size)
        drawn = []
        for which, strength, sign in uniform(seed, step, rows, 3).tolist():
            name = NAMES[int(which * len(NAMES))]
            magnitudes = wide(name, self.num_magnitude_bins)
            magnitude = 0.0 if magnitudes is None else magnitudes[int(strength * len(magnitudes))]
            negative = name not in UNSIGNED and sign < 0.5
            drawn.append([operation(name, -magnitude if negative else magnitude, image_size)])
        return self.batch(drawn)
