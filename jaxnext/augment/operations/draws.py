"""Random numbers on the host, a function of seed, step and place in the global batch."""

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.values import require
from jaxnext.errors import JaxnextError

# Up to here the sum of an image's grey values fits 32 bits, and its places those of Pillow's fixed-point rotation.
_LARGEST_SIZE, _LONGEST_SIDE = 4096, 16384


def uniform(seed: int, step: int, rows: int, columns: int) -> NDArray[np.floating]:
    """Draw numbers uniform in 0 to below 1; row ``i`` does not depend on ``rows``.

    Args:
        seed: 0 to 2**64 - 1.
        step: Number of the training step, 0 to 2**64 - 1.
        rows: Of the global batch.
        columns: Numbers in a row.

    Returns:
        ``[rows, columns]``.
    """
    # The generator's raw stream is the part of NumPy's random numbers that is promised never to change.
    bits = np.random.Philox(key=np.array([seed, step], np.uint64)).random_raw((rows, columns))
    return (bits >> np.uint64(11)) * 2.0**-53


def check_size(image_size: tuple[int, int]) -> None:
    """Refuse images on which sums or places would not fit 32 bits.

    Raises:
        JaxnextError: ``image_size`` has more pixels than 4096x4096, or a side above 16384.
    """
    if image_size[0] * image_size[1] > _LARGEST_SIZE**2 or max(image_size) > _LONGEST_SIDE:
        raise JaxnextError(
            f"data.image_size: expected at most {_LARGEST_SIZE} pixels for the augmentation, or as many in another "
            f"shape of sides up to {_LONGEST_SIDE}, found {list(image_size)}"
        )


def check_probability(value: float, key: str) -> None:
    """Refuse an option that is no probability; ``key`` is its augmentation's name and its own.

    Raises:
        ValueError: it is below 0 or above 1.
    """
    require(0 <= value <= 1, f"augment.{key}", "a number from 0 to 1", value)


def check_range(value: tuple[float, ...], key: str, least: float, most: float) -> None:
    """Refuse an option that is no range ``[lower, upper]``; ``key`` is its augmentation's name and its own.

    Raises:
        ValueError: it is not two numbers in order, or goes below ``least`` (excluded) or above ``most``.
    """
    ok = len(value) == 2 and least < value[0] <= value[1] <= most
    limit = "" if most == float("inf") else f" and at most {most:g}"
    require(ok, f"augment.{key}", f"two numbers in order, above {least:g}{limit}", list(value))
