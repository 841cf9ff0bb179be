"""``jaxnext port``: make a checkpoint of PyTorch's weights."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.console import say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, choose_config, config_of, given, given_path, no_config, with_choices
from jaxnext.cli.paths import optional_path, path
from jaxnext.cli.precision import set_precision
from jaxnext.cli.user_folders import cache_folder_if_known
from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import PIXEL_SETTINGS, Config
from jaxnext.config.yaml_text import config_names
from jaxnext.errors import UsageError
from jaxnext.porting.named import WEIGHTS

_PORTED_KEYS = ("data.image_size", *PIXEL_SETTINGS, "precision", "model.")
"""Settings that decide what a ported checkpoint is; the others belong to training."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    source: str
    config: Config
    output: Path
    classes: Path | None
    key: str | None
    head: bool
    words: tuple[str, ...]
    """The command line without ``--output``."""


def parse(argv: Sequence[str], invocation: Invocation, configs_dir: Path) -> Arguments:
    """Read the options; arguments and errors as ``parse`` of ``train``."""
    choice = choose_config(argv, configs_dir)
    usage = "SOURCE --config NAME_OR_PATH --output DIR [--classes FILE_OR_FOLDER] [--head none] [--KEY VALUE ...]"
    parser = Parser(invocation.usage("port"), usage, "Port PyTorch weights.")
    parser.add_argument(
        "source",
        nargs="?",
        help="a .pth, .pt, .pt2 or .safetensors file (or the .json index of several) that holds a state dict or a "
        f"whole module, or a name to download: {', '.join(WEIGHTS)}",
    )
    parser.option("config", str, f"{config_names(configs_dir)}, or the path of a .yaml file")
    parser.option("output", str | None, "folder that receives the checkpoint")
    parser.option("classes", str | None, "text file with a class name a line, or a folder with a folder for each class")
    parser.option("key", str | None, "of several state dicts in a file the one that is ported, as the error lists them")
    parser.option("head", str | None, "none: the backbone alone is ported, whatever head the file has")
    base = with_choices(argv, choice[1] if choice else Config())
    parser.settings(base, only=_PORTED_KEYS)
    values = parser.parse(argv)
    if choice is None:
        no_config(configs_dir)
    source = given(values, "source", "give a .pth, .pt or .safetensors file, or imagenet1k_v2", "SOURCE")
    output = given_path(values, "output", "give the folder that receives the checkpoint")
    path("SOURCE", source)
    classes = optional_path("--classes", values["classes"])
    if values["head"] not in (None, "none"):
        raise UsageError(f"--head: expected none, found {values['head']!r}; the config's head is --model.head NAME")
    head = values["head"] is None
    return Arguments(source, config_of(values, base), output, classes, values["key"], head, _words(argv))


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation, configs_folder())
    set_precision(arguments.config)
    from jaxnext.weights.port import port_weights

    port_weights(
        source=arguments.source,
        config=arguments.config,
        output=arguments.output,
        classes=arguments.classes,
        key=arguments.key,
        head=arguments.head,
        words=arguments.words,
        command=invocation.usage("port"),
        cache=cache_folder_if_known(),
        say=say,
        warn=warn,
    )
    return 0


def _words(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line without ``--output``."""
    words, skip = [], False
    for word in argv:
        if not skip and word.partition("=")[0] != "--output":
            words.append(word)
        skip = word == "--output" and not skip
    return tuple(words)
