"""``jaxnext prepare``: pack images as a TFDS data set."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import Namespace

from jaxnext.cli.console import image_bar, say, warn
from jaxnext.cli.data_folder import LABEL_SETTINGS, add_folder, with_folder
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, arguments_of, given_path
from jaxnext.config.overrides import override
from jaxnext.config.sections import PIXEL_SETTINGS, Config, DataConfig
from jaxnext.errors import UsageError

_CORRUPT_STATUS = 1
"""Exit status where the data set is not finished, because images cannot be decoded."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    data: DataConfig
    """which images, and how they are decoded and resized"""
    resized: bool
    """whether they are; else the files are kept as they are"""
    output: Path
    name: str | None
    on_corrupt: Literal["stop", "skip"]


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "DATA --output DIR [--image_size 512] [--name NAME] [--OPTION VALUE ...]"
    parser = Parser(invocation.usage("prepare"), usage, "Pack images as a TFDS data set.")
    add_folder(parser)
    parser.option("output", str | None, "folder that receives the data set, as NAME/1.0.0")
    size = "pixels on each side, or [height, width], stored as PNG; null: the files as they are"
    parser.option("image_size", int | tuple[int, ...] | None, size)
    parser.settings(Config(), only=(*LABEL_SETTINGS, *PIXEL_SETTINGS))
    parser.option("name", str | None, "of the data set; null: that of DATA, in small letters")
    text = "images that cannot be decoded; stop: list them and leave the data set unfinished; skip: leave them out"
    parser.option("on_corrupt", Literal["stop", "skip"], text, "stop")
    values = parser.parse(argv)
    data = _data(values)
    if data.path is None:
        raise UsageError("DATA is missing: give the folder with train/, or of class folders")
    output = given_path(values, "output", "give the folder that receives the data set")
    resized = values["image_size"] is not None
    return arguments_of(Arguments, values, data=data, resized=resized, output=output)


def _data(values: Namespace) -> DataConfig:
    """Which images, and how they are decoded and resized.

    Raises:
        UsageError: a value that the settings refuse, or one that without a size nobody reads.
    """
    config = with_folder(values, Config())
    if values["image_size"] is None:
        for key in PIXEL_SETTINGS:
            if values[key] != getattr(DataConfig(), key.partition(".")[2]):
                raise UsageError(
                    f"--{key}: expected no value without --image_size, since the files are then kept as they are, "
                    f"found {values[key]!r}"
                )
        return config.data
    try:
        return override(config, {"data.image_size": values["image_size"]}).data
    except UsageError as error:
        raise UsageError(str(error).replace("data.image_size", "--image_size", 1)) from error


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where corrupt images keep it from finishing."""
    arguments = parse(argv, invocation)
    from jaxnext.data.corrupt_list import write_corrupt
    from jaxnext.data.packing.pack import pack
    from jaxnext.data.pixels import Pixels
    from jaxnext.data.splits import OpenContext

    data = arguments.data
    outcome = pack(
        OpenContext(
            data.path,
            hold_out=False,
            labels=data.labels,
            image_column=data.image_column,
            label_column=data.label_column,
            skip_missing=arguments.on_corrupt == "skip",
        ),
        arguments.output,
        name=arguments.name,
        pixels=Pixels.of(data) if arguments.resized else None,
        on_corrupt=arguments.on_corrupt,
        threads=cores(),
        say=say,
        warn=warn,
        progress=image_bar,
    )
    # Beside the folder of this data set, not in it: that appears whole, and the list is also of one that does not.
    report = arguments.output / f"{outcome.folder.parent.name}.corrupt.csv"
    if outcome.corrupt is not None:
        write_corrupt(report, outcome.corrupt)
    if not outcome.finished:
        warn(
            f"{outcome.folder}: not finished: images that cannot be read, listed in {report}: "
            f"{len(outcome.corrupt or ()):,}; mend or remove them, or leave them out with --on_corrupt skip; "
            "the shards packed so far are kept"
        )
        return _CORRUPT_STATUS
    if outcome.corrupt:
        warn(f"{report}: images that cannot be read and are left out: {len(outcome.corrupt):,}")
    train = f"--data.source tfds --data.path {shlex.quote(str(outcome.folder))}"
    say(f"{outcome.folder}: ready; train on it with {train}")
    return 0
