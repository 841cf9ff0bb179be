"""Array aliases."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LeafPath = tuple[str, ...]
"""Where a leaf stands in a nested dict, from the collection down: ``("params", "head", "output", "kernel")``."""

Variables = dict[str, Any]
"""Nested dict of a model's collections, ``params`` and ``batch_stats``."""

UInt8Image = NDArray[np.uint8]
"""One image, ``[height, width, 3]``, RGB."""
