"""Pictures of a run: loss and accuracy by epoch."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

TRAIN, VALIDATION = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette, told apart with any colour vision."""


def draw_curves(history: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write ``loss.png`` and ``accuracy.png`` into a folder, each whole or not at all.

    Args:
        history: records of the finished epochs, with ``epoch``, ``learning_rate``, and ``train_`` and ``val_`` ``loss``
            and ``accuracy``; at least one.
        folder: of the run.
    """
    for name in ("loss", "accuracy"):
        picture = io.BytesIO()
        curve(history, name).savefig(picture, format="png", dpi=120)
        beside = folder / f".{name}.png.part"
        beside.write_bytes(picture.getvalue())
        beside.replace(folder / f"{name}.png")


def curve(history: Sequence[dict[str, Any]], name: str) -> Figure:
    """One quantity over the epochs, training and validation, with the epochs in which the learning rate fell.

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
    for before, record in zip(history, history[1:], strict=False):
        if record["learning_rate"] < before["learning_rate"]:
            axes.axvline(record["epoch"] - 0.5, color="0.7", linestyle=":", linewidth=1)
            axes.annotate(
                f"learning rate {record['learning_rate']:.0e}",
                (record["epoch"] - 0.5, 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                rotation=90,
                va="top",
                fontsize=7,
                color="0.4",
            )
    best = max(history, key=lambda record: record["val_accuracy"])
    axes.scatter([best["epoch"]], [best[f"val_{name}"]], s=70, facecolors="none", edgecolors=VALIDATION, zorder=3)
    axes.set_title(
        f"{name.capitalize()}: best validation accuracy {best['val_accuracy']:.2%} in epoch {best['epoch']}",
        fontsize=10,
    )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if name == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set_ylabel("cross-entropy")
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
