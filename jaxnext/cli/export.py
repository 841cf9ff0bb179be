"""``jaxnext export``: write a trained net in a format that others read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxnext.cli.console import say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of, given_path, given_value
from jaxnext.cli.paths import optional_path, path
from jaxnext.cli.precision import set_precision_of
from jaxnext.config.choice import Choice
from jaxnext.errors import UsageError
from jaxnext.inference.exporter import FORMATS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """What the command was asked for."""

    checkpoint: Path
    output: Path
    format: Choice
    which: str = "best"
    temperature: float | Literal["calibrated"] = 1.0
    images: list[Path] | None = None
    classes: Path | None = None
    overwrite: bool = False


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN --output PATH [--format NAME] [--OPTION VALUE ...]"
    parser = Parser(invocation.usage("export"), usage, "Write a trained net in a format that others read.")
    parser.add_argument("checkpoint", metavar="run", nargs="?", help="folder of a run or of a ported checkpoint")
    names = FORMATS.names()
    parser.option("output", str | None, "file or folder that is written")
    by_suffix = Path(given_value(argv, "output") or "").suffix.removeprefix(".")
    text = "what is written; where none is given, what the suffix of --output says"
    parser.one_of(FORMATS, text, by_suffix if by_suffix in names else names[0], argv)
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    text = "that logits are divided by; calibrated: what jaxnext calibrate has found"
    parser.option("temperature", float | Literal["calibrated"], text, 1.0)
    text = (
        "folders of images, .zip and .tar files, and image files, of which up to 32 are shown to the net and to what "
        "was written of it, which have to agree; without any, 8 made ones"
    )
    parser.add_argument("--images", type=str, nargs="+", action="extend", help=text)
    parser.option(
        "classes", str | None, "text file that receives the class names, one a line, in the order of the outputs"
    )
    parser.option("overwrite", bool, "true: what is there is replaced", False)
    values = parser.parse(argv)
    checkpoint = given_path(values, "checkpoint", "give the folder of a run or of a ported checkpoint", "RUN")
    output = given_path(values, "output", "give the file or folder to write")
    if by_suffix not in names and given_value(argv, "format") is None and given_value(argv, "format.type") is None:
        raise UsageError(
            f"--output: expected --format with it, or a name that ends in {', '.join(f'.{name}' for name in names)}, "
            f"found {output}"
        )
    classes = optional_path("--classes", values["classes"])
    # Files, not spellings: one may be absolute, or lead over a link.
    if classes is not None and classes.resolve() == output.resolve():
        raise UsageError(f"--classes: expected another file than --output, found {classes}")
    images = None if values["images"] is None else [path("--images", text) for text in values["images"]]
    chosen = parser.chosen(FORMATS.key, values)
    return arguments_of(
        Arguments, values, checkpoint=checkpoint, output=output, format=chosen, classes=classes, images=images
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    set_precision_of(arguments.checkpoint)
    from jaxnext.inference.export import export, read_net

    export(
        read_net(arguments.checkpoint, arguments.which, arguments.temperature),
        arguments.format.build(),
        arguments.output,
        images=arguments.images,
        classes=arguments.classes,
        overwrite=arguments.overwrite,
        say=say,
        warn=warn,
    )
    return 0
