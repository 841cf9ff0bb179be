"""Training from Python: the command without its hold on the process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxnext.cli.host import this_host
from jaxnext.cli.user_folders import folders
from jaxnext.config.overrides import override
from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import find_config, load_config
from jaxnext.errors import UsageError
from jaxnext.training.environment import Console, RunEnvironment
from jaxnext.training.fit import fit
from jaxnext.training.progress import Record


class TrainedRun(NamedTuple):
    """Where a run is, and how its epochs went."""

    folder: Path
    best: Record | None
    """of the epoch with the highest validation accuracy, whose weights are the checkpoint ``best``; ``None`` where the
    run was stopped in its first epoch"""
    history: tuple[Record, ...]
    """of every epoch"""


def train_here(
    config: Config | str | Path,
    overrides: Mapping[str, Any],
    *,
    output: str | Path | None,
    resume: bool,
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> TrainedRun:
    """Train on the devices of this process, whose settings stay as they are; see ``jaxnext.train``."""
    name = ""
    if isinstance(config, str):
        name, config = find_config(config, configs_folder())
    elif isinstance(config, Path):
        name, config = config.stem, load_config(config)
    config = override(config, overrides)
    if str(output) == "" or (output is None and not name):
        raise UsageError(f"output: expected the folder of the run, found {output!r}")
    if config.precision == "float64" and not jax.config.read("jax_enable_x64"):
        raise UsageError("precision: float64 needs jax.config.update('jax_enable_x64', True) first")
    folder = Path("runs", name) if output is None else Path(output)
    console = Console(say, resume_command="the same call and resume=True")
    env = RunEnvironment(this_host(jax.local_devices()), console, folders(), stop)
    progress = fit(config, folder, resume, env)
    return TrainedRun(folder, progress.best, progress.history)
