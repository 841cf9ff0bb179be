"""Batches padded with rows that do not count."""

import numpy as np

from jaxnext.data.loader import HostBatch
from jaxnext.engine.state import Batch


def pad_rows(array: np.ndarray, rows: int) -> np.ndarray:
    """Return ``array`` with zero rows appended up to ``rows`` of them; the dtype and the other axes stay."""
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))


def padded_batch(host: HostBatch, rows: int) -> Batch:
    """Return a loader's batch with padding appended up to ``rows``, still in host memory."""
    return Batch(*(pad_rows(array, rows) for array in (host.image, host.label, host.mask)))  # pyright: ignore[reportArgumentType]
