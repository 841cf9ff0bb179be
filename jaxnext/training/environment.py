"""What a run needs of the process around it."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxnext.engine.parallel import Device
from jaxnext.training.processes import Processes


@dataclasses.dataclass(frozen=True)
class CompilationCache:
    """Where compiled programs are kept from one start to the next, and how often one was found there."""

    place: str
    """as shown to the user"""
    found: Callable[[], int]
    """programs found there so far"""
    not_kept: str | None = None
    """why programs are not kept, although nobody has switched the cache off"""


@dataclasses.dataclass(frozen=True)
class RunEnvironment:
    """What a run needs of the process around it; nothing in the package reads these by itself."""

    devices: Sequence[Device]
    """devices that share each batch, those of each process side by side"""
    clock: Callable[[], float]
    """seconds, as ``time.perf_counter``"""
    stop: Callable[[], bool]
    """whether the run has been asked to save and end"""
    say: Callable[[str], None]
    """shows a line to the user"""
    warn: Callable[[str], None] | None = None
    """the same, for what went wrong; ``None``: as ``say``"""
    cores: int = 1
    """processor cores, from which the number of workers is chosen, and threads where there are none"""
    show_progress: bool | None = None
    """progress bar on stderr: yes, no, or (``None``) only on a terminal"""
    versions: dict[str, Any] = dataclasses.field(default_factory=dict)
    """what ``run.json`` says of versions and commit"""
    resume_command: str = "--resume auto"
    """the command that goes on with this run"""
    compilation_cache: CompilationCache | None = None
    """``None`` where every program is compiled anew"""
    step_memory: Callable[[int], None] = lambda size: None
    """told, before the first step, how many bytes of temporary memory a step takes"""
    index: Path | None = None
    """folder that keeps the listings of image folders from one start to the next; ``None``: they are not kept"""
    tfds_folder: str | None = None
    """where data sets of TFDS are unless the config says"""
    decoded: Path | None = None
    """folder of decoded caches where the config names none"""
    boot: str = ""
    """identifies the time since the machine was started; empty: unknown"""
    machine: str = ""
    """name of the machine among those that may share a file system"""
    memory: int | None = None
    """bytes of memory that are left; ``None``: unknown"""
    processes: Processes = dataclasses.field(default_factory=Processes)
    """of the run; those after the first show nothing"""
