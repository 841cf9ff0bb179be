"""Pictures of several settings within a page: their curves laid over each other, and a difference with its interval."""

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxnext.reporting.intervals import Figure
from jaxnext.reporting.page_charts import inline_svg

_COLOURS = ("#0173b2", "#de8f05", "#029e73", "#cc78bc", "#ca3542", "#56b4e9", "#8c6d31", "#7a7a7a")
_DASHES = ("-", "--", ":", "-.")

CHARTS = {
    "val_accuracy": "Validation accuracy",
    "val_loss": "Validation loss",
    "train_accuracy": "Training accuracy",
    "train_loss": "Training loss",
}
"""What is drawn over the epochs, and what it is called."""

STYLE = (
    ":root{--series0:#0173b2;--series1:#b86f00;--series2:#027a59;--series3:#a8509a;--series4:#ca3542;--series5:#2f86c0;"
    "--series6:#8c6d31;--series7:#6b6b6b}"
    "@media screen and (prefers-color-scheme:dark){:root{--series0:#56a8de;--series1:#f0a83e;--series2:#3ecb9f;"
    "--series3:#e09bd3;--series4:#f07167;--series5:#8fd0f5;--series6:#cdb06f;--series7:#b5b5b5}}"
)
"""Colours of the settings, in light and in dark."""


def swatch(place: int) -> str:
    """Return a piece of the line that a setting is drawn with, as HTML; ``place`` among the settings."""
    dash = ("", "6 3", "2 2", "6 2 2 2")[place // len(_COLOURS) % len(_DASHES)]
    return (
        '<svg class=swatch viewBox="0 0 22 8" aria-hidden=true><line x1=0 y1=4 x2=22 y2=4 stroke-width=3 '
        f'stroke="var(--series{place % len(_COLOURS)})" stroke-dasharray="{dash}"></line></svg>'
    )


def overlaid(histories: Sequence[Sequence[Sequence[dict[str, Any]]]], name: str) -> str:
    """Return a figure of ``CHARTS`` over the epochs: each setting's mean over its runs, and thinly each run.

    Args:
        histories: of each setting, of each run: records of its epochs.
        name: of what is drawn.
    """
    picture = Picture(figsize=(7, 4.2), layout="constrained")
    axes = picture.add_subplot()
    shown: list[float] = []
    for place, runs in enumerate(histories):
        colour, dash = _COLOURS[place % len(_COLOURS)], _DASHES[place // len(_COLOURS) % len(_DASHES)]
        by_epoch: dict[int, list[float]] = {}
        for history in runs:
            epochs, values = [r["epoch"] for r in history], [r[name] for r in history]
            shown += values
            for epoch, value in zip(epochs, values, strict=True):
                by_epoch.setdefault(epoch, []).append(value)
            if len(runs) > 1:
                axes.plot(epochs, values, color=colour, linestyle=dash, linewidth=0.8, alpha=0.45)
        # Where some runs have ended, the mean of the others would jump.
        means = {epoch: statistics.fmean(found) for epoch, found in by_epoch.items() if len(found) == len(runs)}
        marker = "o" if len(means) <= 30 else None
        axes.plot(list(means), list(means.values()), color=colour, linestyle=dash, marker=marker, markersize=3.5)
    axes.set_title(CHARTS[name], fontsize=10, loc="left")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if name.endswith("accuracy"):
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set_ylim(0, 1.05 * max((value for value in shown if math.isfinite(value)), default=1) or 1)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    svg = inline_svg(picture, f"{CHARTS[name]} over the epochs")
    return re.sub("|".join(_COLOURS), lambda found: f"var(--series{_COLOURS.index(found[0])})", svg)


def interval_bar(figure: Figure, most: float) -> str:
    """Return a difference and its interval on an axis from ``-most`` to ``most``, with a line at zero."""
    low, value, high = (60 + 56 * x / (most or 1) for x in (figure.low, figure.value, figure.high))
    return (
        '<svg class=interval viewBox="0 0 120 16" aria-hidden=true><line class=zero x1=60 x2=60 y1=0 y2=16></line>'
        f'<line class=range x1="{low:.1f}" x2="{high:.1f}" y1=8 y2=8></line>'
        f'<circle cx="{value:.1f}" cy=8 r=3.5></circle></svg>'
    )
