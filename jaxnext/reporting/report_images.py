"""Which images a report shows, and where: mistakes, confused pairs, likely label errors, cells of the matrix."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxnext.errors import printable
from jaxnext.reporting.confusion import Pair, confused_pairs
from jaxnext.reporting.label_errors import LabelError, likely_label_errors
from jaxnext.reporting.page import more, text
from jaxnext.reporting.predictions import Predictions

_MISTAKES, _PAIRS, _OF_A_PAIR, _ERRORS, _OF_A_CELL, _RIGHT, _ALL = 24, 12, 6, 24, 12, 4, 900
"""At most so many mistakes, pairs, images of a pair, label errors, images of a wrong and of a right cell, all"""

_Cells = dict[tuple[int, int], list[int]]


@dataclasses.dataclass(frozen=True)
class Selection:
    """Images that are shown, by their numbers among the predictions."""

    mistakes: list[int]
    pairs: list[tuple[Pair, list[int]]]
    errors: list[LabelError]
    all_errors: int
    cells: _Cells
    numbers: list[int]
    """all of them once, the ones that matter most first"""


def select(predictions: Predictions) -> Selection:
    """Choose the images: the most confident mistakes, and of right ones the least confident."""
    groups: _Cells = {}
    for number in np.argsort(-predictions.confidence, kind="stable").tolist():
        groups.setdefault((int(predictions.truth[number]), int(predictions.predicted[number])), []).append(number)
    wrong = {cell: numbers[:_OF_A_CELL] for cell, numbers in groups.items() if cell[0] != cell[1]}
    right = {cell: numbers[::-1][:_RIGHT] for cell, numbers in groups.items() if cell[0] == cell[1]}
    order = np.argsort(-predictions.confidence, kind="stable")
    mistakes = order[~predictions.correct[order]][:_MISTAKES].tolist()
    pairs = confused_pairs(predictions.confusion, _PAIRS)
    shown = [(pair, groups[pair.truth, pair.predicted][:_OF_A_PAIR]) for pair in pairs]
    errors = likely_label_errors(predictions)
    first = [*mistakes, *(error.number for error in errors[:_ERRORS]), *(i for _, images in shown for i in images)]
    numbers = list(dict.fromkeys([*first, *_in_turns(wrong), *_in_turns(right)]))[:_ALL]
    return Selection(mistakes, shown, errors[:_ERRORS], len(errors), wrong | right, numbers)


def _in_turns(cells: _Cells) -> Iterable[int]:
    """The first image of each cell, then the second of each, and so on."""
    for place in range(max(map(len, cells.values()), default=0)):
        yield from (numbers[place] for numbers in cells.values() if place < len(numbers))


def within(pictures: Iterable[tuple[int, str | None]], most: int) -> dict[int, str | None]:
    """Return the pictures that have room.

    Args:
        pictures: number of an image, and its picture's address, or ``None`` where it cannot be read any more.
        most: letters of all addresses.
    """
    found: dict[int, str | None] = {}
    for number, address in pictures:
        most -= len(address or "")
        if most < 0:
            break
        found[number] = address
    return found


def picture_rules(pictures: Mapping[int, str | None]) -> str:
    """Return rules of CSS that give each picture once, to whatever has its class."""
    return "".join(f".i{number}{{background-image:url({uri})}}" for number, uri in pictures.items() if uri)


def cards(selection: Selection, predictions: Predictions, pictures: Mapping[int, str | None]) -> str:
    """Return mistakes, pairs and label errors, in HTML."""

    def card(number: int, *lines: str) -> str:
        return _card(number, predictions, pictures, lines)

    classes, rows = predictions.classes, predictions.probabilities
    wrong = int((~predictions.correct).sum())
    mistakes = "".join(card(number, *_caption(predictions, number)) for number in selection.mistakes)
    parts = ["<h2 id=mistakes>Most confident mistakes</h2>"]
    parts.append(f"<div class=cards>{mistakes}</div>{more(wrong - len(selection.mistakes), 'mistakes')}")
    if not selection.mistakes:
        parts.append("<p>No image was predicted wrongly.</p>")
    if selection.pairs:
        parts.append("<h2 id=pairs>Most confused pairs</h2><div class=pairs>")
    for pair, numbers in selection.pairs:
        images = "".join(card(i, f"{predictions.confidence[i]:.1%}") for i in numbers)
        parts.append(
            f"<section><h3>{text(classes[pair.truth])} taken for {text(classes[pair.predicted])}</h3>"
            f"<p>{pair.images:,} image{'s' * (pair.images != 1)}, {pair.share:.1%} of the class "
            f'<button type=button data-cell="{pair.truth},{pair.predicted}">show in the matrix</button></p>'
            f"<div class=cards>{images}</div></section>"
        )
    parts += ["</div>"] * bool(selection.pairs)
    parts.append(
        "<h2 id=labels>Likely label errors</h2>"
        f"<p>{selection.all_errors:,} of {len(predictions):,} images ({selection.all_errors / len(predictions):.1%}) "
        "are likely of another class than their label, as confident learning counts them: those whose label the net "
        "believes least, the least first. Margin: 0 where another class is certain, 0.5 where both are as likely.</p>"
    )
    listed = "".join(
        card(
            error.number,
            f"labelled <b>{text(classes[predictions.truth[error.number]])}</b> {error.self_confidence:.1%}",
            f"perhaps <b>{text(classes[error.suggested])}</b> {rows[error.number, error.suggested]:.1%}",
            f"margin {error.normalized_margin:.3f}",
        )
        for error in selection.errors
    )
    return "".join([*parts, f"<div class=cards>{listed}</div>", more(selection.all_errors - len(selection.errors))])


def cells_json(selection: Selection, predictions: Predictions, pictures: Mapping[int, str | None]) -> str:
    """Return what the page's script shows of the matrix's cells, as JSON that may stand in HTML."""
    matrix, names = predictions.confusion, [printable(name) for name in predictions.classes]
    cells: dict[str, Any] = {}
    for (truth, guess), numbers in selection.cells.items():
        images = [
            [i if pictures[i] else None, printable(predictions.paths[i]), round(float(predictions.confidence[i]), 4)]
            for i in numbers
            if i in pictures
        ]
        cells[f"{truth},{guess}"] = [int(matrix[truth, guess]), images]
    # A name with </script> in it must not end the element.
    return json.dumps({"classes": names, "cells": cells}, separators=(",", ":")).replace("<", "\\u003c")


def _caption(predictions: Predictions, number: int) -> tuple[str, str]:
    truth, guess = predictions.truth[number], predictions.predicted[number]
    names, rows = predictions.classes, predictions.probabilities[number]
    return (
        f"is <b>{text(names[truth])}</b> {rows[truth]:.1%}",
        f"predicted <b>{text(names[guess])}</b> {rows[guess]:.1%}",
    )


def _card(number: int, predictions: Predictions, pictures: Mapping[int, str | None], lines: Iterable[str]) -> str:
    path = text(predictions.paths[number])
    short = text(predictions.paths[number].rpartition("/")[2])
    if pictures.get(number):
        picture = f'<span class="thumb i{number}" role=img aria-label="{short}"></span>'
    else:
        picture = f"<span class=thumb>{'gone' if number in pictures else 'no room'}</span>"
    caption = "<br>".join(lines)
    return f'<figure>{picture}<figcaption>{caption}<br><span title="{path}">{short}</span></figcaption></figure>'
