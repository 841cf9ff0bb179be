"""Batches padded with rows that do not count."""

import numpy as np


def pad_rows(array: np.ndarray, rows: int) -> np.ndarray:
    """``array`` with zero rows appended up to ``rows`` of them; the dtype and the other axes stay."""
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))
