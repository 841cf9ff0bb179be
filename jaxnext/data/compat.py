"""Names of Grain and TFDS that are not part of their interfaces: where each is from, and what happens without it.

They stand here and not in ``jaxnext/compat.py`` because functions there import JAX, which ``data`` may not reach.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

WORKER_GONE = "terminated unexpectedly"
"""What Grain's ``RuntimeError`` says of a worker process that has ended (grain 0.2.18;
https://github.com/google/grain/blob/main/grain/_src/python/dataset/transformations/process_prefetch.py). Without it the
error is shown with its traceback instead of in a sentence."""


def adopt_shared(array: Any) -> Any:
    """Copy an array that Grain has received in shared memory, and give that memory back.

    Grain's own array would do so when it is deleted, in a background thread: at the end of the program, where the last
    batch may still be alive, that comes too late and is reported on stderr. The copy costs a few per cent of decoding.

    ``SharedMemoryArray.shm`` and ``_unlink_on_del`` (grain 0.2.18;
    https://github.com/google/grain/blob/main/grain/_src/python/ipc/shared_memory_array.py). Without the first, arrays
    stay Grain's own; without the second, the memory is given back twice, which Python reports.
    """
    shared = getattr(array, "shm", None)
    if shared is None:
        return array
    shared.unlink()
    array._unlink_on_del = False
    return np.array(array, subok=False)


def prepared_by_name(name: str, data_dir: str) -> Any:
    """Return TFDS's builder of a prepared data set, from its files alone; None where it is not there.

    ``core.read_only_builder.builder_from_files`` and ``core.registered.DatasetNotFoundError`` (tensorflow-datasets
    4.9.10; https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/core/read_only_builder.py).
    ``tfds.builder`` would run the data set's own code, which may need TensorFlow. Without them only ``data.path`` finds
    data sets.
    """
    from tensorflow_datasets.core import read_only_builder, registered

    try:
        return read_only_builder.builder_from_files(name, data_dir=data_dir)
    except (registered.DatasetNotFoundError, ImportError):
        return None


def shard_ends(size: int, count: int) -> Sequence[int]:
    """Return the numbers of images at which TFDS would end its shards.

    ``core.utils.shard_utils`` (tensorflow-datasets 4.9.10;
    https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/core/utils/shard_utils.py). Without it
    nothing is packed.

    Args:
        size: of all images, in bytes.
        count: of images.
    """
    from tensorflow_datasets.core.utils import shard_utils

    return shard_utils.get_shard_boundaries(count, shard_utils.ShardConfig().get_number_shards(size, count))
