"""The report of a run: one page with everything in it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxnext.reporting.calibration import cross_scaled, reliability, temperature
from jaxnext.reporting.confusion import clustered_order
from jaxnext.reporting.figures import TITLES, Figures, figures
from jaxnext.reporting.intervals import Figure
from jaxnext.reporting.page import document, text
from jaxnext.reporting.page_charts import coverage_chart, reliability_chart, run_charts
from jaxnext.reporting.predictions import Predictions
from jaxnext.reporting.report_images import Selection, cards, cells_json, picture_rules
from jaxnext.reporting.report_maps import STYLE as MAPS_STYLE
from jaxnext.reporting.report_maps import ImageMaps, maps_section
from jaxnext.reporting.report_matrix import matrix_svg
from jaxnext.reporting.report_run import run_sections
from jaxnext.reporting.report_style import STYLE
from jaxnext.reporting.run_facts import RunFacts

_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.5)
_SHARES = ("top1_accuracy", "top5_accuracy", "macro_f1", "balanced_accuracy")
"""Figures that are shown large, as per cent."""
_NAVIGATION = {
    "curves": "Curves",
    "matrix": "Confusion",
    "classes": "Classes",
    "calibration": "Calibration",
    "coverage": "Coverage",
    "mistakes": "Mistakes",
    "labels": "Label errors",
    "maps": "Where it looks",
    "run": "The run",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What a page is made of."""

    name: str
    """of the run"""
    run: RunFacts
    parameters: Mapping[str, int]
    """of each part of the net"""
    predictions: Predictions
    """of the run's validation images"""
    selection: Selection
    pictures: Mapping[int, str | None]
    """addresses of the pictures of selected images"""
    epoch: int
    """after which the checkpoint was made"""
    maps: Sequence[ImageMaps] = ()
    """of a few images"""


def report_page(report: Report, seed: int = 0) -> str:
    """Return the page.

    Args:
        report: what it is made of.
        seed: of bootstrap and halves.
    """
    predictions = report.predictions
    found = figures(predictions, seed)
    links = "".join(
        f'<a href="#{place}">{title}</a>' for place, title in _NAVIGATION.items() if place != "maps" or report.maps
    )
    main = [
        f"<p>{len(predictions):,} validation images, {len(predictions.classes):,} classes, predicted by the best "
        f"epoch, {report.epoch} of {len(report.run.history)}. Intervals are of 95 % confidence.</p>",
        f"<nav>{links}</nav>",
        _headline(found),
        "<h2 id=curves>Curves</h2><div class=charts>",
        *(f"<div>{chart}</div>" for chart in run_charts(report.run.history)),
        "</div>",
        _matrix(predictions),
        _classes(found, predictions.classes),
        _calibration(predictions, seed),
        _coverage(predictions),
        cards(report.selection, predictions, report.pictures),
        maps_section(report.maps, predictions),
        run_sections(report.run, report.parameters),
        '<script type="application/json" id=cells>',
        f"{cells_json(report.selection, predictions, report.pictures)}</script>",
    ]
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    style = STYLE + MAPS_STYLE + picture_rules(report.pictures)
    return document(f"Report: {report.name}", "".join(main), style=style, script=script)


def _headline(found: Figures) -> str:
    tiles = [
        f"<li><b>{_percent(found.overall[name].value)}</b>{TITLES[name]}"
        f"<small>{_percent(found.overall[name].low)} to {_percent(found.overall[name].high)}</small></li>"
        for name in _SHARES
        if name in found.overall
    ]
    rows = "".join(
        f"<tr><td>{title}</td><td class=number>{figure.value:.4f}</td><td class=number>{figure.low:.4f} to "
        f"{figure.high:.4f}</td><td>{'Wilson' if name.startswith('top') else 'bootstrap'}</td></tr>"
        for name, title in TITLES.items()
        if (figure := found.overall.get(name)) is not None
    )
    return (
        f"<ul class=tiles>{''.join(tiles)}</ul><details><summary>All figures</summary><div class=scroll><table><thead>"
        "<tr><th>figure</th><th class=number>value</th><th class=number>interval</th><th>by</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _matrix(predictions: Predictions) -> str:
    matrix = predictions.confusion
    svg = matrix_svg(matrix, clustered_order(matrix), predictions.classes)
    return (
        "<h2 id=matrix>Confusion matrix</h2><p>Labels in rows, predictions in columns; the stronger the colour, the "
        "larger the share of the class's images. Classes that are taken for each other stand together.</p>"
        "<div><p id=hint>Click a cell to see its images.</p>"
        f"<div class='scroll paper'>{svg}</div><div id=cell></div></div>"
    )


def _classes(found: Figures, classes: Sequence[str]) -> str:
    heads = ("class", "images", "precision", "recall", "F1")
    head = "".join(
        f"<th{'' if i == 0 else ' class=number'} scope=col><button type=button>{name}</button></th>"
        for i, name in enumerate(heads)
    )
    rows = "".join(
        f'<tr data-place="{place}"><td data-value="{text(name)}">{text(name)}</td>'
        f'<td class=number data-value="{each.support}">{each.support:,}</td>'
        f"{_cell(each.precision)}{_cell(each.recall)}{_cell(each.f1)}</tr>"
        for place, (name, each) in enumerate(zip(classes, found.classes, strict=True))
    )
    return (
        f"<h2>Classes</h2><div class=scroll id=classes><table class=sortable><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(figure: Figure) -> str:
    if math.isnan(figure.value):
        return '<td class=number data-value="">-</td>'
    return (
        f'<td class=number data-value="{figure.value:.9g}">{_percent(figure.value)} '
        f"<small>{_percent(figure.low)} to {_percent(figure.high)}</small></td>"
    )


def _calibration(predictions: Predictions, seed: int) -> str:
    before = reliability(predictions.confidence, predictions.correct)
    title = "<h2 id=calibration>Calibration</h2>"
    if len(predictions) < 2:
        return f"{title}<p>One image says nothing of it.</p>"
    rows = cross_scaled(predictions, seed)
    after = reliability(rows.max(1), rows.argmax(1) == predictions.truth)
    by = temperature(predictions.probabilities, predictions.truth)
    return (
        f"{title}<p>Expected calibration error in {len(before.images)} bins: {before.error:.4f} as predicted, "
        f"{after.error:.4f} after temperature scaling, each fifth of the images at the temperature that suits the "
        f"others. That of all images is {by:.3g}: the net is {'too sure' if by > 1 else 'not sure enough'}.</p>"
        f"<div class=paper>{reliability_chart(before, after)}</div>"
    )


def _coverage(predictions: Predictions) -> str:
    order = np.argsort(-predictions.confidence, kind="stable")
    accuracy = np.cumsum(predictions.correct[order]) / np.arange(1, len(order) + 1)
    rows = []
    for share in _COVERAGES:
        last = max(1, round(share * len(order))) - 1
        least = predictions.confidence[order[last]]
        cells = f"{share:.0%}", f"{last + 1:,}", _percent(accuracy[last]), f"{least:.3f}"
        rows.append("".join(f"<td class=number>{cell}</td>" for cell in cells))
    heads = ("coverage", "images", "accuracy", "least probability")
    head = "".join(f"<th class=number>{name}</th>" for name in heads)
    return (
        "<h2 id=coverage>Coverage</h2><p>How accurate it is on the images that it is surest of, were the others left "
        f"to somebody else.</p><div class=paper>{coverage_chart(accuracy)}</div><div class=scroll><table><thead><tr>"
        f"{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table></div>"
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
