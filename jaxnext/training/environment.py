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
class Host:
    """The machine that a run is computed on, and its software."""

    devices: Sequence[Device]
    """devices that share each batch, those of each process side by side"""
    clock: Callable[[], float]
    """seconds, as ``time.perf_counter``"""
    cores: int = 1
    """processor cores, from which the number of workers is chosen, and threads where there are none"""
    memory: int | None = None
    """bytes of memory that are left; ``None``: unknown"""
    name: str = ""
    """of the machine among those that may share a file system"""
    boot: str = ""
    """identifies the time since the machine was started; empty: unknown"""
    versions: dict[str, Any] = dataclasses.field(default_factory=dict)
    """what ``run.json`` says of versions and commit"""
    step_memory: Callable[[int], None] = lambda size: None
    """told, before the first step, how many bytes of temporary memory a step takes"""


@dataclasses.dataclass(frozen=True)
class Folders:
    """What is kept from one start to the next."""

    index: Path | None = None
    """folder of the listings of image folders; ``None``: they are not kept"""
    decoded: Path | None = None
    """folder of decoded caches where the config names none"""
    tfds: str | None = None
    """where data sets of TFDS are unless the config says"""


@dataclasses.dataclass(frozen=True)
class Console:
    """What the user sees of a run."""

    say: Callable[[str], None]
    """shows a line"""
    warn: Callable[[str], None] | None = None
    """the same, for what went wrong; ``None``: as ``say``"""
    show_progress: bool | None = None
    """progress bar on stderr: yes, no, or (``None``) only on a terminal"""
    resume_command: str = "--resume auto"
    """the command that goes on with this run"""
    port_command: str = "jaxnext port"
    """the command that ports weights, without its options"""


@dataclasses.dataclass(frozen=True)
class RunEnvironment:
    """What a run needs of the process around it; nothing in the package reads these by itself."""

    host: Host
    console: Console
    folders: Folders = Folders()
    stop: Callable[[], bool] = lambda: False
    """whether the run has been asked to save and end"""
    saves_asked: Callable[[], int] = lambda: 0
    """how often the run has been asked to save and go on"""
    compilation_cache: CompilationCache | None = None
    """``None`` where every program is compiled anew"""
    processes: Processes = dataclasses.field(default_factory=Processes)
    """of the run; those after the first show nothing"""

    def warn(self, line: str) -> None:
        """Show a line for what went wrong; of several processes the first one does."""
        if self.processes.first:
            (self.console.warn or self.console.say)(line)
