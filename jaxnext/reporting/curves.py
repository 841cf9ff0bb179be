"""Pictures of a run: loss and accuracy by epoch."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxnext.atomic import whole_file

TRAIN, VALIDATION = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette, told apart with any colour vision."""
_LINES = 100
"""Of the learning rate's falls; more take seconds to draw, after each epoch."""


def draw_curves(history: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write ``loss.png`` and ``accuracy.png`` into a folder, each whole or not at all, 840 by 504 pixels.

    Args:
        history: records of the finished epochs, with ``epoch``, ``learning_rate``, and ``train_`` and ``val_`` ``loss``
            and ``accuracy``; at least one.
        folder: of the run.

    Raises:
        JaxnextError: a file cannot be written.
    """
    for name in ("loss", "accuracy"):
        picture = curve(history, name)
        with whole_file(folder / f"{name}.png", "wb") as file:
            picture.savefig(file, format="png", dpi=120)


def curve(history: Sequence[dict[str, Any]], name: str) -> Figure:
    """Draw one quantity over the epochs, training and validation, with the epochs in which the learning rate fell.

    Args:
        history: as for ``draw_curves``.
        name: ``loss`` or ``accuracy``.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    epochs = [record["epoch"] for record in history]
    marker = "o" if len(epochs) <= 30 else None
    for split, label, colour in (("train", "training", TRAIN), ("val", "validation", VALIDATION)):
        values = [record[f"{split}_{name}"] for record in history]
        axes.plot(epochs, values, color=colour, marker=marker, markersize=3.5, label=label)
    best = max(history, key=lambda record: record["val_accuracy"])
    axes.scatter([best["epoch"]], [best[f"val_{name}"]], s=70, facecolors="none", edgecolors=VALIDATION, zorder=3)
    axes.set_title(
        f"{name.capitalize()} (ring: best validation accuracy, {best['val_accuracy']:.2%} in epoch {best['epoch']})",
        fontsize=9,
        loc="left",
    )
    axes.set_xlabel("epoch")
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    shown = [record[f"{split}_{name}"] for record in history for split in ("train", "val")]
    low, high = _range([value for value in shown if math.isfinite(value)], name)
    axes.set_ylim(low, high)
    if name == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set_ylabel("cross-entropy")
    _mark_reductions(axes, history, at_top=name == "loss")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Above the axes, where no curve and no label can be in its way.
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=9, borderaxespad=0.1)
    return figure


def _range(values: Sequence[float], name: str) -> tuple[float, float]:
    if name == "loss":
        return 0, 1.05 * max(values, default=0) or 1
    low, high = min(values, default=0), max(values, default=1)
    margin = max(0.05 * (high - low), 0.02)
    return max(low - margin, -0.01), min(high + margin, 1.01)


def _mark_reductions(axes: Axes, history: Sequence[dict[str, Any]], at_top: bool) -> None:
    """Draw a dotted line where the learning rate fell, with the new one written where the curves are not: late in a
    run the loss is low and the accuracy high. A label that would cover the one before is left out, and its line, too,
    where there are more than ``_LINES``: a schedule may let the rate fall in each of a thousand epochs."""
    fallen = [after for before, after in pairwise(history) if after["learning_rate"] < before["learning_rate"]]
    labelled: list[float] = []
    for record in fallen:
        place = record["epoch"] - 0.5
        if labelled and place - labelled[-1] < len(history) / 40:
            continue
        labelled.append(place)
        axes.annotate(
            f"learning rate {record['learning_rate']:.3g}",
            (place, 0.98 if at_top else 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            rotation=90,
            va="top" if at_top else "bottom",
            fontsize=7,
            color="0.4",
        )
    lines = [record["epoch"] - 0.5 for record in fallen] if len(fallen) <= _LINES else labelled
    for place in lines:
        axes.axvline(place, color="0.7", linestyle=":", linewidth=1)
