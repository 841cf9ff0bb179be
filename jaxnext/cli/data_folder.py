"""The data set as the one argument of a command, which is also the setting ``data.path``."""

from jsonargparse import Namespace

from jaxnext.cli.parser import Parser, config_of
from jaxnext.cli.paths import path
from jaxnext.config.overrides import override
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError

LABEL_SETTINGS = ("data.path", "data.labels", "data.image_column", "data.label_column")
"""Settings of images in folders and archives, and of their labels."""


def add_folder(parser: Parser) -> None:
    """Add the argument."""
    parser.add_argument("folder", nargs="?", help="what is also given as --data.path: folder, .zip or .tar file")


def with_folder(values: Namespace, base: Config) -> Config:
    """Return the config with the settings of a command line, and with the argument as its ``data.path``.

    Args:
        values: what the parser gave.
        base: the config before.

    Raises:
        UsageError: the path is given in both ways, or a value is refused.
    """
    config = config_of(values, base)
    if values["folder"] is None:
        return config
    folder = str(path("DATA", values["folder"]))
    if config.data.path != base.data.path:
        raise UsageError(f"DATA: expected no value with --data.path, which is the same, found {folder}")
    return override(config, {"data.path": folder})
