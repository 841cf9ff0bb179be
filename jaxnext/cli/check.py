"""``jaxnext check``: look at every image of a data set before training: counts, bad files, duplicates."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.console import image_bar, say, warn
from jaxnext.cli.data_folder import LABEL_SETTINGS, add_folder, with_folder
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, choose_config, with_choices
from jaxnext.cli.paths import optional_path
from jaxnext.cli.user_folders import cache_folder_if_known, tfds_folder
from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import config_names
from jaxnext.errors import UsageError

_WRONG_STATUS = 1
"""Exit status where an image cannot be read, or a duplicate would spoil the result."""

_SETTINGS = (
    *("seed", "data.source", *LABEL_SETTINGS, "data.group_column"),
    *("data.orientation", "data.depth", "data.background"),
    *("data.val_fraction", "data.fold", "data.classes", "data.share"),
)
"""Beginnings of the settings that decide which images there are, and how they are decoded."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    config: Config
    output: Path | None


def parse(argv: Sequence[str], invocation: Invocation, configs_dir: Path) -> Arguments:
    """Read the options; arguments and errors as ``parse`` of ``train``."""
    choice = choose_config(argv, configs_dir)
    usage = "DATA [--output check.html] [--config NAME_OR_PATH] [--KEY VALUE ...]"
    text = "Look at every image of a data set; exit status 1 where something is wrong."
    parser = Parser(invocation.usage("check"), usage, text)
    add_folder(parser)
    parser.option("output", str | None, "HTML file that receives a page with thumbnails; null: none is written")
    parser.option("config", str | None, f"whose data settings are meant: {config_names(configs_dir)}, or a .yaml file")
    base = with_choices(argv, choice[1] if choice else Config())
    parser.settings(base, only=_SETTINGS)
    values = parser.parse(argv)
    config = with_folder(values, base)
    output = optional_path("--output", values["output"])
    if output is not None and output.is_dir():
        raise UsageError(f"--output: expected the name of a file, found the folder {output}")
    return Arguments(config, output)


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where something is wrong with the data."""
    arguments = parse(argv, invocation, configs_folder())
    from jaxnext.data.inspection import inspect
    from jaxnext.data.pixels import Pixels
    from jaxnext.data.splits import load_splits
    from jaxnext.reporting.check_page import write_page
    from jaxnext.reporting.check_text import report

    config, kept = arguments.config, cache_folder_if_known()
    splits = load_splits(config.data, config.seed, None if kept is None else kept / "index", tfds_folder())
    for line in splits.description:
        say(line)
    for line in splits.warnings:
        warn(line)
    with image_bar(len(splits.train) + len(splits.validation)) as bar:
        inspection = inspect(splits, Pixels.of(config.data), cores(), bar.update)
    for line in report(inspection):
        say(line)
    if arguments.output is not None:
        write_page(inspection, arguments.output)
        say(f"{arguments.output}: the page with thumbnails")
    return _WRONG_STATUS if inspection.is_wrong else 0
