"""Pictures of a report as SVG within its page, whose colours follow the page's, in light and in dark."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from jaxnext.reporting.calibration import BINS, Reliability
from jaxnext.reporting.curves import TRAIN, VALIDATION, curve
from jaxnext.reporting.page import text

_COLOURS = {
    TRAIN.lower(): "training",
    VALIDATION.lower(): "validation",
    "#000000": "ink",
    "#666666": "soft",
    "#b2b2b2": "soft",
    "#b0b0b0": "line",
    "#ffffff": "paper",
}
"""Colours that Matplotlib is given, and the page's names for what is drawn in them."""


def run_charts(history: Sequence[dict[str, Any]]) -> list[str]:
    """Return loss, accuracy and learning rate over the epochs; ``history`` as for ``draw_curves``."""
    rate = Figure(figsize=(7, 4.2), layout="constrained")
    axes = rate.add_subplot()
    rates = [record["learning_rate"] for record in history]
    axes.plot([record["epoch"] for record in history], rates, color=TRAIN, marker="o", markersize=3.5)
    axes.set_title("Learning rate (of an epoch's last step)", fontsize=9, loc="left")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if min(rates) > 0 and max(rates) >= 10 * min(rates):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    _plain(axes)
    titles = "Loss over the epochs", "Accuracy over the epochs", "Learning rate over the epochs"
    figures = curve(history, "loss"), curve(history, "accuracy"), rate
    return [inline_svg(figure, title) for figure, title in zip(figures, titles, strict=True)]


def reliability_chart(before: Reliability, after: Reliability) -> str:
    """Return accuracy by confidence, as predicted and after temperature scaling; bins without images are left out."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1, linestyle=":")
    for bins, colour, label in ((before, VALIDATION, "as predicted"), (after, TRAIN, "temperature scaled")):
        full = bins.images > 0
        axes.plot(bins.confidence[full], bins.accuracy[full], "o-", color=colour, markersize=4, label=label)
    axes.set_ylabel("accuracy")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    edges = np.linspace(0, 1, BINS + 1)
    below.bar(edges[:-1], before.images, 1 / BINS, align="edge", color=VALIDATION, alpha=0.6)
    below.set_ylabel("images")
    below.set_xlabel("probability of the predicted class")
    for each in (axes, below):
        each.set_xlim(0, 1)
        _plain(each)
    axes.set_ylim(0, 1)
    return inline_svg(figure, "Accuracy by the probability of the predicted class")


def coverage_chart(accuracy: NDArray[np.float64]) -> str:
    """Return the accuracy of the most confident images over their share of all.

    Args:
        accuracy: ``[n]``, of the first one, two and so on.
    """
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    # A curve of more points than pixels would only be larger.
    chosen = np.unique(np.linspace(0, len(accuracy) - 1, 400).round().astype(int))
    axes.plot((chosen + 1) / len(accuracy), accuracy[chosen], color=VALIDATION)
    axes.set_xlim(0, 1)
    axes.set_ylim(max(0, accuracy.min() - 0.02), 1.005)
    axes.set_xlabel("share of the images that are predicted, the most confident first")
    axes.set_ylabel("accuracy")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=None))
    _plain(axes)
    return inline_svg(figure, "Accuracy by coverage")


def inline_svg(figure: Figure, title: str) -> str:
    """Return a figure as an SVG element, without a background; of the same figure the same text.

    Args:
        figure: drawn in the colours of ``_COLOURS``.
        title: what it shows, for those who cannot see it; other titles give other names to its parts.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg ") :]
    # A style within the page would be for all of it.
    svg = re.sub(r"<(metadata|style)[ >].*?</\1>", "", svg, flags=re.DOTALL)
    # Names of groups are the same in every picture; nothing refers to them.
    svg = re.sub(r'<g id="[A-Za-z]+[0-9a-z.]*_[0-9]+">', "<g>", svg)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: _coloured(found[0]), svg)
    size = re.search(r'viewBox="[^"]*"', svg)
    inside = svg[svg.index(">") + 1 :].strip()
    return f'<svg class=chart role="img" aria-label="{text(title)}" {size[0] if size else ""}>{inside}'


def _coloured(colour: str) -> str:
    name = _COLOURS.get(colour)
    return colour if name is None else f"var(--{name})"


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
