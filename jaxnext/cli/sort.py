"""``jaxnext sort``: put images into folders of their predicted classes; and back."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jaxnext.cli.console import batch_bar, say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, arguments_of, given, given_path
from jaxnext.cli.paths import path
from jaxnext.cli.trained_options import (
    TrainedArguments,
    add_answering,
    add_threshold,
    classifier,
    parse_options,
    threshold_of,
)
from jaxnext.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    data: list[Path]
    output: Path
    mode: Literal["copy", "link", "move"]
    threshold: float | Literal["calibrated"] | None


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments | Path:
    """Read the options; errors as ``parse`` of ``train``.

    Returns:
        what is to be sorted; or the folder of an earlier sort that is taken back.
    """
    program = invocation.usage("sort")
    usage = f"RUN ... --data FOLDER_OR_FILE ... --output DIR [--OPTION VALUE ...]\n       {program} --undo DIR"
    about = (
        "Put images into folders of their predicted classes. Cut off, it goes on with the same command; "
        "--undo DIR takes it back."
    )
    parser = Parser(program, usage, about)
    parser.add_argument("checkpoint", metavar="run", nargs="*", help="folder of a run, or of several: their mean")
    parser.add_argument(
        "--data", type=str, nargs="+", action="extend", help="folders of images, image files, .zip and .tar files"
    )
    parser.option("output", str | None, "folder that receives a folder for each class, and the table sorted.csv")
    text = "copy, link (symbolic, to the image's full path) or move; images in archives are copied"
    parser.option("mode", Literal["copy", "link", "move"], text, "copy")
    add_threshold(parser)
    parser.option("undo", str | None, "folder of an earlier sort: its images go back, its copies and links are removed")
    add_answering(parser, argv)
    if any(word.partition("=")[0] == "--undo" for word in argv):
        return _undone(parser.parse(argv), argv)
    values, own = parse_options(parser, argv, "RUN")
    data = [path("--data", text) for text in given(values, "data", "give a folder of images, or image files")]
    output = given_path(values, "output", "give the folder that receives a folder for each class")
    return arguments_of(Arguments, values, **own, data=data, output=output)


def _undone(values: Any, argv: Sequence[str]) -> Path:
    others = [word for word in argv if word.startswith("--") and word.partition("=")[0] != "--undo"]
    if values["checkpoint"] or others:
        found = others[0] if others else values["checkpoint"][0]
        raise UsageError(f"--undo: expected the folder of an earlier sort alone, found {found} with it")
    return given_path(values, "undo", "give the folder of an earlier sort")


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where an image stays where it is."""
    arguments = parse(argv, invocation)
    if isinstance(arguments, Path):
        from jaxnext.inference.sorting.undo import undo

        return undo(arguments, say=say, warn=warn, progress=batch_bar)
    with classifier(arguments, invocation) as trained:
        from jaxnext.inference.sorting.sort import sort_images

        return sort_images(
            trained,
            arguments.data,
            arguments.output,
            mode=arguments.mode,
            threshold=threshold_of(arguments.threshold, trained, is_written=False),
            options={
                "checkpoint": [str(place.resolve()) for place in arguments.checkpoint],
                "which": arguments.which,
                "epoch": [member.meta.epoch for member in trained.members],
                "ensemble": arguments.ensemble,
                "image_size": arguments.image_size,
                "tta": arguments.tta.plain(),
                "temperature": [member.temperature for member in trained.members],
            },
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            cores=cores(),
            say=say,
            warn=warn,
            progress=batch_bar,
            tta=arguments.tta.plain(),
        )
