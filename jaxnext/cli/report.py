"""``jaxnext report``: write a page about a run, or one that compares several: figures, curves, mistakes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.comparing import compared_runs
from jaxnext.cli.console import image_bar, say
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of, check_least, given
from jaxnext.cli.paths import path
from jaxnext.cli.trained_options import TrainedArguments, add_computing, classifier, over_images
from jaxnext.errors import UsageError
from jaxnext.inference.tta import NO_TTA


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    output: Path


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN ... [--output report.html] [--OPTION VALUE ...]"
    about = (
        "Write a page about a run: its best checkpoint on its validation images, its curves and settings; of several: "
        "how they differ, paired over the same images."
    )
    parser = Parser(invocation.usage("report"), usage, about)
    parser.add_argument("checkpoint", metavar="run", nargs="*", help="folder of a run")
    parser.option("output", str, "the HTML file, which holds all that it shows", "report.html")
    add_computing(parser)
    values = parser.parse(argv)
    values["checkpoint"] = values["checkpoint"] or None
    runs = [path("RUN", text) for text in given(values, "checkpoint", "give the folder of a run", "RUN")]
    check_least(values, batch_size=1, workers=0)
    output = path("--output", values["output"])
    if output.is_dir():
        raise UsageError(f"--output: expected the name of a file, found the folder {output}")
    return arguments_of(
        Arguments,
        values,
        checkpoint=runs,
        output=output,
        which="best",
        ensemble="probabilities",
        tta=NO_TTA,
        temperature=1.0,
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    if len(arguments.checkpoint) > 1:
        return _compare(arguments, invocation)
    with classifier(arguments, invocation) as trained:
        from jaxnext.inference.report import write_report
        from jaxnext.reporting.run_facts import read_run

        folder = arguments.checkpoint[0]
        write_report(
            trained.members[0],
            read_run(folder),
            folder.resolve().name,
            arguments.output,
            images_bar=image_bar,
            **over_images(arguments),
        )
    say(f"{arguments.output}: the report")
    return 0


def _compare(arguments: Arguments, invocation: Invocation) -> int:
    runs = list(compared_runs(arguments, invocation))
    from jaxnext.inference.compare import write_comparison

    write_comparison(runs, f"Comparison of {len(runs)} runs", arguments.output)
    say(f"{arguments.output}: the comparison")
    return 0
