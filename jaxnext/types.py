"""Array aliases and the small records that travel between layers."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LeafPath = tuple[str, ...]
"""Where a leaf stands in a nested dict, from the collection down: ``("params", "head", "output", "kernel")``."""

Variables = dict[str, Any]
"""Nested dict of a model's collections, ``params`` and ``batch_stats``."""

UInt8Image = NDArray[np.uint8]
"""One image, ``[height, width, 3]``, RGB."""


class Augmentation(NamedTuple):
    """Per-example parameters of the training augmentation, drawn on the host. The leading axis is the batch, ``B``."""

    choice: NDArray[np.int32]
    """``[B]``: 0 rotation, 1 colour jitter, 2 horizontal flip, 3 vertical flip, 4 nothing (the flip's coin said no)."""
    affine: NDArray[np.int32]
    """``[B, 6]``: 16.16 fixed-point coefficients of Pillow's rotation; the identity where none is drawn."""
    factors: NDArray[np.float32]
    """``[B, 3]``: brightness, contrast and saturation factors."""
    order: NDArray[np.int32]
    """``[B, 3]``: the order in which the three are applied, a permutation of 0, 1, 2."""
