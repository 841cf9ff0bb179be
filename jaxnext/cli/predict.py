"""``jaxnext predict``: write the predicted class of each image to a CSV file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxnext.cli.backend import Backend, add_backend, backend_of, by_jax_alone, check_backend, with_backend
from jaxnext.cli.console import batch_bar, say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, arguments_of, check_least, given
from jaxnext.cli.paths import optional_path, path
from jaxnext.cli.trained_options import (
    TrainedArguments,
    add_options,
    add_threshold,
    classifier,
    parse_options,
    threshold_of,
)
from jaxnext.config.choice import NONE
from jaxnext.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    data: list[Path]
    output: Path
    probabilities: bool
    top_k: int | None
    keep_extension: bool
    names: Path | None
    image_column: str | None
    submission_columns: tuple[str, str]
    explain: Path | None = None
    explain_method: Literal["cbam", "gradcam"] | None = None
    threshold: float | Literal["calibrated"] | None = None
    energy: bool = False
    embeddings: Path | None = None
    backend: Backend = "jax"


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "--checkpoint DIR ... --data FOLDER_OR_FILE ... [--output prediction.csv] [--OPTION VALUE ...]"
    parser = Parser(invocation.usage("predict"), usage, "Write the predicted class of each image to a CSV file.")
    add_options(parser, argv)
    parser.add_argument(
        "--data", type=str, nargs="+", action="extend", help="folders of images, .zip and .tar files, and image files"
    )
    parser.option("output", str, "the CSV file", "prediction.csv")
    parser.option("probabilities", bool, "true: a column prob_<class> for each class", False)
    add_threshold(parser)
    text = "true: a column energy, lower for images of the kinds that the net knows"
    parser.option("energy", bool, text, False)
    parser.option("top_k", int | None, "also columns label_1, prob_1, ... for this many likeliest classes")
    parser.option("keep_extension", bool, "true: image names keep their file extension", False)
    parser.option(
        "names",
        str | None,
        "CSV or TSV file, such as a sample submission: its images are predicted, one row each, in its order",
    )
    parser.option("image_column", str | None, "column of --names with the names of the images; null: guessed")
    parser.option("submission_columns", str, "names of the first two columns", "image_name,pred_label")
    parser.option("explain", str | None, "also a picture for each image, in this folder: where the net looks")
    text = "by Grad-CAM for the predicted class, or by the spatial map of the net's CBAM; null: gradcam"
    parser.option("explain_method", Literal["cbam", "gradcam"] | None, text)
    text = "also each image as a vector, the mean over all places of the head's input: a file .npz or .parquet"
    parser.option("embeddings", str | None, text)
    add_backend(parser)
    values, own = parse_options(parser, argv)
    alone = by_jax_alone(len(own["checkpoint"]), own["tta"], values["energy"])
    backend = backend_of(values["backend"], values["batch_size"], alone)
    check_backend(backend, alone)
    data = [path("--data", text) for text in given(values, "data", "give a folder of images, or image files")]
    check_least(values, top_k=1)
    if values["image_column"] is not None and values["names"] is None:
        raise UsageError(f"--image_column: expected --names with it, found {values['image_column']!r} alone")
    if values["explain_method"] is not None and values["explain"] is None:
        raise UsageError(f"--explain_method: expected --explain with it, found {values['explain_method']!r} alone")
    if values["explain"] is not None and len(own["checkpoint"]) > 1:
        count = len(own["checkpoint"])
        raise UsageError(f"--explain: expected one folder after --checkpoint, found {count}; explain one net at a time")
    if values["embeddings"] is not None and len(own["checkpoint"]) > 1:
        count = len(own["checkpoint"])
        raise UsageError(f"--embeddings: expected one folder after --checkpoint, found {count}; each net has its own")
    if values["energy"] and (len(own["checkpoint"]) > 1 or own["tta"].type != NONE):
        raise UsageError("--energy: expected one folder after --checkpoint, and no --tta; a mean has no energy")
    return arguments_of(
        Arguments,
        values,
        **own,
        data=data,
        backend=backend,
        output=path("--output", values["output"]),
        names=optional_path("--names", values["names"]),
        explain=optional_path("--explain", values["explain"]),
        embeddings=optional_path("--embeddings", values["embeddings"]),
        submission_columns=_columns(values["submission_columns"]),
    )


def _columns(text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise UsageError(f"--submission_columns: expected two names such as id,label, found {text!r}")
    return names[0], names[1]


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where an image could not be read."""
    arguments = parse(argv, invocation)
    with classifier(arguments, invocation) as trained:
        from jaxnext.inference.overlays import Explanation
        from jaxnext.inference.predict import predict_to_csv
        from jaxnext.inference.rows import NamesTable

        alone = by_jax_alone(len(arguments.checkpoint), arguments.tta, arguments.energy)
        explanation = None
        if arguments.explain is not None:
            explanation = Explanation(arguments.explain, arguments.explain_method or "gradcam")
        return predict_to_csv(
            with_backend(trained, arguments.backend, arguments.batch_size, alone),
            arguments.data,
            arguments.output,
            probabilities=arguments.probabilities,
            top_k=arguments.top_k,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            keep_extension=arguments.keep_extension,
            table=NamesTable(arguments.names, arguments.image_column) if arguments.names is not None else None,
            columns=arguments.submission_columns,
            cores=cores(),
            say=say,
            warn=warn,
            progress=batch_bar,
            tta=arguments.tta.plain(),
            explanation=explanation,
            threshold=threshold_of(arguments.threshold, trained),
            energy=arguments.energy,
            embeddings=arguments.embeddings,
        )
