"""AutoAugment with the policy that was learned on ImageNet."""

import dataclasses

from jaxnext.augment.operations.draws import check_size, uniform
from jaxnext.augment.operations.magnitudes import narrow
from jaxnext.augment.operations.operation import UNSIGNED, Operation, Operations, operation
from jaxnext.augment.operations.policy import PolicyOptions

Step = tuple[str, float, int]
"""An operation, its probability, and which of ten strengths it has."""

POLICY: tuple[tuple[Step, Step], ...] = (
    (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
    (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Equalize", 0.4, 0), ("Rotate", 0.8, 8)),
    (("Solarize", 0.6, 3), ("Equalize", 0.6, 0)),
    (("Posterize", 0.8, 5), ("Equalize", 1.0, 0)),
    (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
    (("Equalize", 0.6, 0), ("Posterize", 0.4, 6)),
    (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
    (("Rotate", 0.4, 9), ("Equalize", 0.6, 0)),
    (("Equalize", 0.0, 0), ("Equalize", 0.8, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
    (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
    (("Sharpness", 0.4, 7), ("Invert", 0.6, 0)),
    (("ShearX", 0.6, 5), ("Equalize", 1.0, 0)),
    (("Color", 0.4, 0), ("Equalize", 0.6, 0)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
)
"""Table 9 of the paper; an operation without strengths has 0."""

_BINS = 10


@dataclasses.dataclass(frozen=True)
class Augmentation(PolicyOptions):
    """For each image one of 25 pairs of operations is drawn; each of the two happens with its own probability.

    Policy, ranges and pixels are those of torchvision's ``AutoAugment(AutoAugmentPolicy.IMAGENET)`` on Pillow images
    (Cubuk and others, https://arxiv.org/abs/1805.09501).
    """

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Operations:
        """Draw the pair of each image, uniformly, whether each of the two happens, and its direction."""
        check_size(image_size)
        drawn = []
        for which, chance, sign, second_chance, second_sign in uniform(seed, step, rows, 5).tolist():
            first, second = POLICY[int(which * len(POLICY))]
            drawn.append(
                [_drawn(first, chance, sign, image_size), _drawn(second, second_chance, second_sign, image_size)]
            )
        return self.batch(drawn)


def _drawn(one: Step, chance: float, sign: float, image_size: tuple[int, int]) -> Operation:
    name, probability, strength = one
    if chance >= probability:
        return operation("Identity", 0.0, image_size)
    magnitudes = narrow(name, _BINS, image_size)
    magnitude = 0.0 if magnitudes is None else magnitudes[strength]
    negative = name not in UNSIGNED and sign < 0.5
    return operation(name, -magnitude if negative else magnitude, image_size)
