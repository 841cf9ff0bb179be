"""``jaxnext evaluate``: measure a checkpoint on labelled images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of
from jaxnext.cli.paths import optional_path, path
from jaxnext.cli.trained_options import TrainedArguments, add_options, classifier, over_images, parse_options
from jaxnext.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    data: list[Path] | None
    output: Path | None = None


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "--checkpoint DIR ... [--data FOLDER_OR_ARCHIVE ...] [--OPTION VALUE ...]"
    parser = Parser(invocation.usage("evaluate"), usage, "Loss, top-1, top-5 and accuracy of each class.")
    add_options(parser, argv)
    text = "folders, .zip or .tar files with a folder for each class; null: the validation images of the run"
    parser.add_argument("--data", type=str, nargs="+", action="extend", help=text)
    parser.option(
        "output",
        str | None,
        "folder that receives metrics.json, per_class.csv, confusion.csv, confusion.png and predictions.csv; "
        "null: they are not written",
    )
    values, own = parse_options(parser, argv)
    data = None if values["data"] is None else [path("--data", text) for text in values["data"]]
    output = optional_path("--output", values["output"])
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"--output: expected the name of a folder, found the file {output}")
    return arguments_of(Arguments, values, **own, data=data, output=output)


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    with classifier(arguments, invocation) as trained:
        from jaxnext.inference import evaluate as evaluation

        options = {**over_images(arguments), "tta": arguments.tta.plain()}
        if arguments.output is None:
            print(evaluation.report(evaluation.evaluate(trained, arguments.data, **options), trained.classes))
            return 0
        from jaxnext.reporting.evaluation_files import FILES, write_evaluation

        found = evaluation.predict_labelled(trained, arguments.data, **options).predictions
        write_evaluation(found, arguments.output)
        print(evaluation.report(evaluation.sums_of(found), trained.classes))
        print(f"\n{arguments.output}: {', '.join(FILES)}")
    return 0
