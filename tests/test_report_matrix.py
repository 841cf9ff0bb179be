import re

import numpy as np
from html_reader import Reader

from jaxnext.reporting.report_matrix import matrix_svg

MATRIX = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])


def test_cells_and_names() -> None:
    svg = matrix_svg(MATRIX, [1, 2, 0], ("<b>", "dog", "a class with a long name"))
    found = Reader(svg)
    assert re.findall('class=(right|mistaken) data-cell="([0-9,]+)"', svg) == [
        ("right", "1,1"),
        ("mistaken", "0,1"),
        ("right", "0,0"),
    ]
    assert [text for text in found.texts if text.isdigit()] == ["2", "1", "3"]
    # As a row and a column, each with the whole name.
    assert found.texts.count("<b>") == 4
    assert found.texts.count("a class with a lo…") == 2
    assert found.texts.count("a class with a long name") == 2
    # The first row is dog's, the last one <b>'s; the class in between has no images.
    places = [(float(x), float(y)) for x, y in re.findall('data-cell="[^"]*" x="([^"]*)" y="([^"]*)"', svg)]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert (x0, y1, x2 - x0, y1 - y0) == (x1, y2, 56, 56)


def test_many_classes_are_smaller_and_without_counts() -> None:
    svg = matrix_svg(np.diag(np.arange(1, 101)), list(range(100)), tuple(f"class number {i}" for i in range(100)))
    assert "class number…" in Reader(svg).texts
    assert not [text for text in Reader(svg).texts if text.isdigit()]
    assert float(re.findall('width="([0-9]+)"', svg)[0]) < 1200
