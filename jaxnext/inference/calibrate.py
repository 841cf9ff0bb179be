"""Fit how sure a classifier may be: its temperature, a threshold, and whether its energy tells other images apart."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.choice import NONE
from jaxnext.data.image_source import ImageSource, Subset
from jaxnext.data.loader import default_workers
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError
from jaxnext.inference.calibration import Calibration
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import predict_labelled
from jaxnext.inference.predictor import Tta
from jaxnext.inference.rows import rows_of
from jaxnext.reporting.calibration import cross_scaled, reliability, scaled, temperature
from jaxnext.reporting.figures import losses
from jaxnext.reporting.predictions import Predictions
from jaxnext.reporting.selective import Selection, at_coverages, for_accuracy, selections
from jaxnext.reporting.separation import separation


def calibrate(
    classifier: TrainedClassifier,
    data: Sequence[Path] | None,
    accuracy: float | None,
    other: Sequence[Path] | None,
    *,
    seed: int,
    tta: Tta = NONE,
    **options: Any,
) -> tuple[Calibration, list[Selection]]:
    """Fit to labelled images.

    Args:
        classifier: at a temperature of 1.
        data: folders or archives of class folders; ``None``: the validation images of the run.
        accuracy: above 0 and at most 1, that images that are answered shall have; ``None``: no threshold is chosen.
        other: folders of images of none of the classes, which the energy is to tell apart; ``None``: not measured.
        seed: of the parts that the temperature's worth is measured on.
        tta: test-time augmentation.
        options: of ``predict_labelled``.

    Returns:
        what was found, and the selections of ``reporting.selective.COVERAGES``.

    Raises:
        JaxnextError: fewer than two mistakes, an accuracy that no threshold reaches, or from reading the images.
    """
    evaluated = predict_labelled(classifier, data, tta=tta, **options)
    found = evaluated.predictions
    wrong = int((~found.correct).sum())
    if wrong < 2:
        raise JaxnextError(
            f"{classifier.checkpoint}: expected at least two images that are predicted wrong, found {wrong} of "
            f"{len(found):,}: to images without mistakes no temperature is low enough; give others with --data"
        )
    by = temperature(found.probabilities, found.truth)
    parts = dataclasses.replace(found, probabilities=cross_scaled(found, seed))
    at = dataclasses.replace(found, probabilities=scaled(found.probabilities, by))
    choices = selections(at.confidence, found.correct, len(found.classes))
    chosen = None if accuracy is None else _reaching(choices, accuracy)
    energy = None
    if other is not None:
        energy = _told_apart(classifier, evaluated.source, evaluated.numbers, other, **options)
    return Calibration(
        temperature=by,
        images=len(found),
        log_loss=(_log_loss(found), _log_loss(parts)),
        ece=(_ece(found), _ece(parts)),
        accuracy=accuracy,
        threshold=None if chosen is None else chosen.threshold,
        coverage=None if chosen is None else chosen.coverage,
        energy=energy,
    ), at_coverages(choices)


def lines(found: Calibration, table: Sequence[Selection]) -> list[str]:
    """Return what was found, for the terminal."""
    text = [
        f"images             {found.images:,}",
        f"temperature        {found.temperature:.4f}",
        f"log loss           {found.log_loss[0]:.4f} before, {found.log_loss[1]:.4f} after",
        f"calibration error  {found.ece[0]:.2%} before, {found.ece[1]:.2%} after",
        "(after: each fifth of the images at the temperature that suits the others)",
        "",
        "coverage  accuracy  95 % interval       threshold",
    ]
    for row in table:
        interval = f"{row.accuracy.low:.2%} to {row.accuracy.high:.2%}"
        text.append(f"{row.coverage:8.2%}  {row.accuracy.value:8.2%}  {interval:<18}  {row.threshold:.6f}")
    if found.threshold is not None:
        text.append(
            f"\nan accuracy of {found.accuracy:.2%} is reached from {found.threshold:.6f} on, where "
            f"{found.coverage:.2%} of the images are answered"
        )
    if found.energy is not None:
        text.append("\nother images told apart           AUROC  accepted with 95 % of the known")
        for name, title in (("", "by energy"), ("confidence_", "by the highest probability")):
            text.append(f"{title:<32} {found.energy[f'{name}auroc']:6.2%}  {found.energy[f'{name}false_share']:.2%}")
        text.append(f"95 % of the known have an energy of at most {found.energy['threshold']:.6g}")
    return text


def _reaching(choices: Sequence[Selection], accuracy: float) -> Selection:
    chosen = for_accuracy(choices, accuracy)
    if chosen is None:
        most = max(choices, key=lambda choice: choice.accuracy.value)
        raise JaxnextError(
            f"--accuracy {accuracy}: no threshold reaches it; the highest is {most.accuracy.value:.2%}, of "
            f"{most.answered:,} images"
        )
    return chosen


def _told_apart(
    classifier: TrainedClassifier,
    known: ImageSource,
    numbers: NDArray[np.int64],
    other: Sequence[Path],
    *,
    batch_size: int,
    workers: int | None,
    cores: int,
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
    **_: Any,
) -> dict[str, float]:
    """Return the figures of the energy, and of the highest probability at a temperature of 1 beside it."""
    scores: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = []
    for source in (Subset(known, numbers), rows_of(other, None, True, warn).source):
        chosen = default_workers(cores, source) if workers is None else workers
        confidence, energy = [], []
        with out_of_memory(batch_size, classifier.image_size):
            batches = classifier.stream_energies(source, batch_size, chosen, threads=cores)
            for host, (probabilities, energies) in progress(batches, -(-len(source) // batch_size)):
                for error in host.errors:
                    raise JaxnextError(str(error))
                confidence.append(probabilities[host.mask].max(1))
                energy.append(energies[host.mask])
        scores.append((np.concatenate(energy), np.concatenate(confidence)))
    (known_energy, known_confidence), (other_energy, other_confidence) = scores
    by_energy = separation(-known_energy, -other_energy)
    by_confidence = separation(known_confidence, other_confidence)
    return {
        "auroc": by_energy.auroc,
        "false_share": by_energy.false_share,
        "threshold": -by_energy.threshold,
        "confidence_auroc": by_confidence.auroc,
        "confidence_false_share": by_confidence.false_share,
    }


def _log_loss(found: Predictions) -> float:
    return float(losses(found).mean())


def _ece(found: Predictions) -> float:
    return reliability(found.confidence, found.correct).error
