"""``jaxnext similar``: find the images of a folder that are most like some others, as a page."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxnext.cli.console import batch_bar, say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, arguments_of, check_least, given
from jaxnext.cli.paths import path
from jaxnext.cli.trained_options import TrainedArguments, add_computing, classifier
from jaxnext.errors import UsageError
from jaxnext.inference.tta import NO_TTA


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    data: list[Path]
    query: list[Path]
    count: int
    output: Path


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN --data FOLDER_OR_FILE ... --query IMAGE ... [--output similar.html] [--OPTION VALUE ...]"
    about = "Find the images that are most like some others: by the cosine of what the net's head is given of them."
    parser = Parser(invocation.usage("similar"), usage, about)
    parser.add_argument("checkpoint", metavar="run", nargs="*", help="folder of a run or of a ported checkpoint")
    parser.add_argument(
        "--data", type=str, nargs="+", action="extend", help="folders of images, .zip and .tar files, and image files"
    )
    parser.add_argument("--query", type=str, nargs="+", action="extend", help="image files whose like are looked for")
    parser.option("count", int, "images that are shown of each query", 12)
    parser.option("output", str, "the HTML file, which holds all that it shows", "similar.html")
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    add_computing(parser)
    values = parser.parse(argv)
    if len(values["checkpoint"]) != 1:
        raise UsageError(f"RUN: expected the folder of one run, found {len(values['checkpoint'])}")
    data = [path("--data", text) for text in given(values, "data", "give a folder of images")]
    query = [path("--query", text) for text in given(values, "query", "give image files whose like are looked for")]
    check_least(values, count=1, batch_size=1, workers=0)
    output = path("--output", values["output"])
    if output.is_dir():
        raise UsageError(f"--output: expected the name of a file, found the folder {output}")
    runs = [path("RUN", text) for text in values["checkpoint"]]
    return arguments_of(
        Arguments,
        values,
        checkpoint=runs,
        data=data,
        query=query,
        output=output,
        ensemble="probabilities",
        tta=NO_TTA,
        temperature=1.0,
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where an image of the folder could not be read."""
    arguments = parse(argv, invocation)
    with classifier(arguments, invocation) as trained:
        from jaxnext.inference.similar import find_similar

        return find_similar(
            trained,
            arguments.data,
            arguments.query,
            arguments.count,
            arguments.output,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            cores=cores(),
            say=say,
            warn=warn,
            progress=batch_bar,
        )
