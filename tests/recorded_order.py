"""Which examples stand in which row of each global batch, as the devices are given them.

    python recorded_order.py COORDINATOR COUNT INDEX WORKERS ...

is one of COUNT processes. It prints, for each number of workers, a JSON list of the rows of each batch on its devices.
"""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import small_run
from PIL import Image
from square import square

from jaxnext.data.image_source import MemorySource
from jaxnext.data.loader import stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.engine import parallel
from jaxnext.engine.network import network
from jaxnext.training.compiled_steps import CompiledSteps

SCHEDULE = ShuffledOrder(train_size=7, val_size=3, batch_size=3, epochs=2, seed=1)


def images(count: int) -> MemorySource:
    """Images whose labels are their numbers, so that a batch on the devices tells which they are."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    names = tuple(map(str, range(count)))
    return MemorySource((file.getvalue(),) * count, names, np.arange(count, dtype=np.int32), names)


def rows_on_devices(devices: Sequence[Any], workers: int) -> list[list[int]]:
    """Ids in the rows of each batch of the order on this process's devices, in their order; -1 is padding."""
    config = small_run.config(Path(), batch_size=SCHEDULE.batch_size)
    model = network(config.model, 12, config.precision, parallel.AXIS)
    programs = CompiledSteps(config, model, config.optimizer.build().transformation(), devices)
    seen: list[Any] = []
    programs._train = lambda state, given: seen.append(given.batch)
    programs._evaluate = lambda variables, batch: seen.append(batch)
    size = config.data.image_size
    with stream(SCHEDULE, images(7), images(3), square(size), workers=workers, rows=programs.own_rows) as batches:
        for host in batches:
            if SCHEDULE.locate(host.index).training:
                programs.train(None, host, 0)  # pyright: ignore
            else:
                programs.evaluate({}, host)
    return [np.where(_local(batch.mask), _local(batch.label), -1).tolist() for batch in seen]


def _local(array: jax.Array) -> np.ndarray:
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def main() -> None:
    """One of several processes."""
    address, count, index, *workers = sys.argv[1:]
    jax.distributed.initialize(address, int(count), int(index))
    devices = sorted(jax.devices(), key=lambda device: device.process_index)
    print(json.dumps([rows_on_devices(devices, int(number)) for number in workers]))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
