"""Several runs compared, each on its own validation images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnext.atomic import whole_file
from jaxnext.engine.network import network
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import predict_labelled
from jaxnext.models.summary import parameter_counts, variable_shapes
from jaxnext.reporting.compare_page import compare_page
from jaxnext.reporting.compared import ComparedRun
from jaxnext.reporting.comparison import Comparison, compare, to_json
from jaxnext.reporting.run_facts import RunFacts


def compared_run(classifier: TrainedClassifier, facts: RunFacts, name: str, **options: Any) -> ComparedRun:
    """Predict a run's validation images.

    Args:
        classifier: the run's best checkpoint.
        facts: what the run's folder says.
        name: of the run.
        options: of ``predict_labelled``.

    Raises:
        JaxnextError: the validation images are no longer the run's, or one cannot be read.
    """
    evaluated = predict_labelled(classifier, None, **options)
    config, names = classifier.meta.config, list(evaluated.source.names)
    shapes = variable_shapes(network(config.model, len(classifier.classes), config.precision))
    return ComparedRun(
        name,
        facts,
        sum(parameter_counts(shapes["params"]).values()),
        [names[number] for number in evaluated.numbers.tolist()],
        evaluated.predictions,
        classifier.meta.epoch,
    )


def write_comparison(runs: Sequence[ComparedRun], title: str, page: Path, figures: Path | None = None) -> Comparison:
    """Compare runs and write what is found, each file whole or not at all.

    Args:
        runs: at least one.
        title: of the page.
        page: the HTML file.
        figures: the JSON file; ``None``: none is written.

    Raises:
        UsageError: the runs cannot be compared.
        JaxnextError: a file cannot be written.
    """
    found = compare(runs)
    with whole_file(page) as file:
        file.write(compare_page(title, found, runs))
    if figures is not None:
        with whole_file(figures) as file:
            file.write(json.dumps(to_json(found), indent=2, allow_nan=False) + "\n")
    return found
