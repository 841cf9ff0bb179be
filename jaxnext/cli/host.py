"""What a run is given of this process and its machine."""

import platform
import time
from collections.abc import Callable, Sequence

from jaxnext.cli.machine import available_memory, boot_id, cores
from jaxnext.cli.versions import versions
from jaxnext.config.packaged import configs_folder
from jaxnext.engine.parallel import Device
from jaxnext.training.environment import Host


def this_host(devices: Sequence[Device], step_memory: Callable[[int], None] = lambda size: None) -> Host:
    """Return this machine, with the devices that a run is computed on.

    Args:
        devices: that share each batch; those of each process are put side by side.
        step_memory: told how many bytes of temporary memory a step takes.
    """
    return Host(
        devices=sorted(devices, key=lambda device: device.process_index),
        clock=time.perf_counter,
        cores=cores(),
        memory=available_memory(),
        name=platform.node(),
        boot=boot_id(),
        versions=versions(configs_folder().parent),
        step_memory=step_memory,
    )
