"""How strong each bin of the automatic augmentations is, in torchvision's single precision."""

import numpy as np

BLENDS = ("Brightness", "Color", "Contrast", "Sharpness")


def linear(end: float, bins: int, start: float = 0.0) -> list[float]:
    """Return ``torch.linspace(start, end, bins)``: float32, counted from both ends."""
    first, last = np.float32(start), np.float32(end)
    if bins == 1:
        return [float(first)]
    # The product is not rounded by itself: doubles hold it, as a fused multiply-add does.
    step = float((last - first) / np.float32(bins - 1))
    half = bins // 2
    return [
        float(np.float32(float(first) + step * i if i < half else float(last) - step * (bins - 1 - i)))
        for i in range(bins)
    ]


def wide(name: str, bins: int) -> list[float] | None:
    """Return the magnitudes of TrivialAugmentWide; ``None`` for an operation that has none."""
    ends = {"ShearX": 0.99, "ShearY": 0.99, "TranslateX": 32.0, "TranslateY": 32.0, "Rotate": 135.0}
    return _magnitudes(name, bins, ends | dict.fromkeys(BLENDS, 0.99), 6)


def narrow(name: str, bins: int, image_size: tuple[int, int]) -> list[float] | None:
    """Return the magnitudes of RandAugment and AutoAugment; ``None`` for an operation that has none.

    Args:
        name: Of the operation.
        bins: How many there are.
        image_size: Height and width, to which translations are proportional.
    """
    height, width = image_size
    ends = {
        "ShearX": 0.3,
        "ShearY": 0.3,
        "TranslateX": 150.0 / 331.0 * width,
        "TranslateY": 150.0 / 331.0 * height,
        "Rotate": 30.0,
    }
    return _magnitudes(name, bins, ends | dict.fromkeys(BLENDS, 0.9), 4)


def _magnitudes(name: str, bins: int, ends: dict[str, float], bits: int) -> list[float] | None:
    if name in ends:
        return linear(ends[name], bins)
    if name == "Solarize":
        return linear(0.0, bins, 1.0)
    if name == "Posterize":
        # Rounded to even; a single bin drops nothing.
        steps = np.arange(bins, dtype=np.float32) / np.float32(max(bins - 1, 1) / bits)
        return [float(value) for value in np.round(8 - steps)]
    return None
