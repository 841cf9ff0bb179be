"""``jaxnext compare``: train several configs alike, and say which differences are more than chance."""

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnext.cli import train as training
from jaxnext.cli.comparing import compared_runs, free_memory
from jaxnext.cli.console import say
from jaxnext.cli.interrupt import SaveOnRequest
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.main import INTERRUPTED
from jaxnext.cli.parser import Parser, arguments_of, check_least, config_of, with_choices
from jaxnext.cli.paths import path
from jaxnext.cli.precision import set_precision
from jaxnext.cli.trained_options import TrainedArguments
from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import config_names, find_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.ops.cpu.allocator import keep_freed_memory

PAGE, FIGURES, PREDICTIONS = "compare.html", "compare.json", "predictions.csv"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    configs: dict[str, Config]
    """with the settings of the command line over them"""
    output: Path
    seeds: int
    folds: int | None
    compilation_cache: bool | None
    onednn: bool = True

    @property
    def runs(self) -> dict[str, Config]:
        """Return the runs by their folders' names, all configs of a seed and fold before the next."""
        found = {}
        for number in range(self.seeds):
            for fold in range(self.folds or 1):
                for name, config in self.configs.items():
                    seed = config.seed + number
                    data, end = config.data, ""
                    if self.folds is not None:
                        data, end = dataclasses.replace(data, folds=self.folds, fold=fold), f"-fold{fold}"
                    try:
                        found[f"{name}-seed{seed}{end}"] = dataclasses.replace(config, seed=seed, data=data)
                    except ValueError as error:
                        raise UsageError(str(error)) from error
        return found


def parse(argv: Sequence[str], invocation: Invocation, configs_dir: Path) -> Arguments:
    """Read the options: the config files first, then the overrides, which are for all of them.

    Args:
        argv: The command line after the command's name.
        invocation: How the user called.
        configs_dir: Folder in which ``--configs NAME`` is looked up.

    Raises:
        UsageError: A mistake in the options or in a config file.
        SystemExit: After ``--help``, with status 0.
    """
    given = _choose_configs(argv, configs_dir)
    found: dict[str, Config] = {}
    values: Any = None
    for name, config in given or [("", Config())]:
        try:
            parser, base = _parser(argv, invocation, configs_dir, config)
            values = parser.parse(argv)
            own = config_of(values, base)
        except UsageError as error:
            if not found:
                raise
            # What the first config takes is a mistake for this one only.
            raise UsageError(f"{name}: {error}") from error
        found[name] = own
    if not given:
        raise UsageError(f"--configs is missing: give two or more of {config_names(configs_dir)}, or of paths")
    check_least(values, seeds=1, folds=2)
    _check(found, values["folds"])
    return arguments_of(Arguments, values, configs=found, output=path("--output", values["output"]))


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 130 where Ctrl-C ended it."""
    arguments = parse(argv, invocation, configs_folder())
    runs = arguments.runs
    configs = list(runs.values())
    keep_freed_memory(os.environ.get("JAX_PLATFORMS"), max(map(training.pixels_of, configs)))
    for config in configs:
        set_precision(config)
    from jaxnext.engine import run_folder
    from jaxnext.training.processes import Processes

    # A run with other settings is refused before the first one takes hours.
    for name, config in runs.items():
        run_folder.check(arguments.output / name, config, resume=True)
    again = invocation.again("compare", argv)
    with SaveOnRequest() as requests:
        for number, (name, config) in enumerate(runs.items(), 1):
            folder = arguments.output / name
            if finished(folder, config):
                say(f"run {number} of {len(runs)}: {folder} is finished")
                continue
            say(f"run {number} of {len(runs)}: {folder}")
            kept = training.Arguments(config, folder, True, arguments.compilation_cache, arguments.onednn)
            if training.train(kept, invocation, again, Processes(), requests) == INTERRUPTED:
                return INTERRUPTED
            free_memory()
    _compare(arguments, list(runs), configs[0], invocation)
    return 0


def finished(folder: Path, config: Config) -> bool:
    """Return whether a run has done all of its epochs, or as many as early stopping lets it."""
    from jaxnext.engine import run_folder
    from jaxnext.training.early_stopping import stopped_early

    if not run_folder.holds_run(folder) or not (folder / run_folder.METRICS).is_file():
        return False
    file = folder / run_folder.METRICS
    try:
        history = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise JaxnextError(f"{file}: expected the records of a run's epochs, found another file ({error})") from error
    return len(history) == config.epochs or stopped_early(history, config.training.early_stopping) is not None


def _compare(arguments: Arguments, names: Sequence[str], config: Config, invocation: Invocation) -> None:
    """Write each run's predictions, then the page and the figures."""
    from jaxnext.inference.compare import write_comparison
    from jaxnext.reporting.evaluation_files import write_predictions

    trained = TrainedArguments(
        checkpoint=[arguments.output / name for name in names],
        which="best",
        batch_size=config.batch_size,
        workers=config.workers,
        compilation_cache=arguments.compilation_cache,
        onednn=arguments.onednn,
    )
    found = []
    for each in compared_runs(trained, invocation):
        write_predictions(each.predictions, arguments.output / each.name / PREDICTIONS)
        found.append(each)
    page, figures = arguments.output / PAGE, arguments.output / FIGURES
    comparison = write_comparison(found, f"Comparison: {arguments.output.resolve().name}", page, figures)
    for setting in comparison.settings:
        accuracy = setting.accuracy
        say(f"{setting.name}: {accuracy.value:.2%} ({accuracy.low:.2%} to {accuracy.high:.2%})")
    best = comparison.settings[0].name
    alike = [each.second for each in comparison.differences if each.first == best and not each.distinguishable]
    if alike:
        say(f"not distinguishable from {best}: {', '.join(alike)}")
    say(f"{page}: the comparison; {figures}: its figures")


def _parser(argv: Sequence[str], invocation: Invocation, configs_dir: Path, config: Config) -> tuple[Parser, Config]:
    usage = "--configs NAME_OR_PATH ... [--seeds N] [--folds N] [--output DIR] [--KEY VALUE ...]"
    about = "Train several configs alike, and compare them; started again, it goes on."
    parser = Parser(invocation.usage("compare"), usage, about)
    text = f"{config_names(configs_dir)}, or paths of .yaml files"
    parser.add_argument("--configs", type=str, nargs="+", action="extend", help=text)
    parser.option("seeds", int, "each config is trained with so many seeds, from its setting seed on", 1)
    parser.option("folds", int | None, "and on each of so many folds of the images for training; null: without folds")
    parser.option("output", str, "folder of the runs, the page and the figures", "runs/compare")
    parser.compilation_cache()
    base = with_choices(argv, config)
    parser.settings(base)
    return parser, base


def _choose_configs(argv: Sequence[str], configs_dir: Path) -> list[tuple[str, Config]]:
    scanner = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scanner.add_argument("--configs", nargs="+", action="extend", default=[])
    try:
        names = scanner.parse_known_args(argv)[0].configs
    except argparse.ArgumentError as error:
        raise UsageError(f"--configs is without a value: give two or more of {config_names(configs_dir)}") from error
    found: list[tuple[str, Config]] = []
    for text in names:
        if not text:
            raise UsageError("--configs: expected names or paths, found an empty value")
        name, config = find_config(text, configs_dir)
        if name in dict(found):
            raise UsageError(f"--configs: expected each name once, since runs are called by it, found {name} twice")
        found.append((name, config))
    return found


def _check(configs: dict[str, Config], folds: int | None) -> None:
    for name, config in configs.items():
        if folds is not None and (config.data.fold is not None or config.data.folds is not None):
            raise UsageError(f"{name}: expected no data.folds and data.fold beside --folds, found some; leave them out")
    precisions = {name: config.precision for name, config in configs.items()}
    if "float64" in precisions.values() and len(set(precisions.values())) > 1:
        raise UsageError(f"precision: expected float64 in all configs or in none, found {precisions}")
