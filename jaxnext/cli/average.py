"""``jaxnext average``: average the weights of several runs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_type_hints

from jaxnext.cli.console import image_bar, say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, arguments_of, check_least, descriptions, given_path
from jaxnext.cli.paths import optional_path, path
from jaxnext.cli.precision import set_precision_of_all
from jaxnext.cli.user_folders import folders
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    runs: list[Path]
    output: Path
    method: Literal["uniform", "greedy"]
    which: str
    data: Path | None
    batch_size: int
    workers: int | None
    compilation_cache: bool | None
    onednn: bool


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN RUN ... --output DIR [--method uniform|greedy] [--OPTION VALUE ...]"
    about = "Average the weights of several runs of one network into a checkpoint (a model soup)."
    parser = Parser(invocation.usage("average"), usage, about)
    parser.add_argument("runs", metavar="run", nargs="*", help="folders of runs, two or more")
    parser.option("output", str | None, "folder that receives the checkpoint")
    text = "uniform: all runs; greedy: from the most accurate on, those with which validation accuracy does not fall"
    parser.option("method", Literal["uniform", "greedy"], text, "uniform")
    parser.option("which", Literal["best", "last"], "which checkpoint of each run", "best")
    parser.option("data", str | None, "folder of the runs' images; null: where the first run's config says")
    parser.option("batch_size", int, "validation images computed at a time", 16)
    parser.option("workers", get_type_hints(Config)["workers"], descriptions(Config)["workers"])
    parser.compilation_cache()
    values = parser.parse(argv)
    if len(values["runs"]) < 2:
        raise UsageError(f"RUN: expected the folders of two or more runs, found {len(values['runs'])}")
    runs = [path("RUN", text) for text in values["runs"]]
    for place, run in enumerate(runs):
        if run.resolve() in {other.resolve() for other in runs[:place]}:
            raise UsageError(f"RUN: expected different runs, found {run} twice")
    check_least(values, batch_size=1, workers=0)
    output = given_path(values, "output", "give the folder that receives the checkpoint")
    return arguments_of(Arguments, values, runs=runs, output=output, data=optional_path("--data", values["data"]))


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    precision = set_precision_of_all(arguments.runs)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.weights.average import average

    kept = folders()
    with compilation_cache(arguments.compilation_cache, precision, warn, warn, use_onednn=arguments.onednn):
        average(
            arguments.runs,
            arguments.which,
            arguments.method,
            arguments.output,
            path=None if arguments.data is None else str(arguments.data),
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            cores=cores(),
            say=say,
            warn=warn,
            bar=image_bar,
            index=kept.index,
            tfds_folder=kept.tfds,
        )
    return 0
