import re

import numpy as np
import pytest
from html_reader import Reader
from matplotlib.figure import Figure
from reported import facts

from jaxnext.reporting.calibration import reliability
from jaxnext.reporting.page_charts import coverage_chart, inline_svg, reliability_chart, run_charts


@pytest.fixture(scope="module")
def charts() -> list[str]:
    random = np.random.default_rng(0)
    bins = reliability(random.uniform(0.2, 1, 300), random.random(300) < 0.7)
    accuracy = np.cumsum(random.random(5000) < 0.9) / np.arange(1, 5001)
    return [*run_charts(facts().history), reliability_chart(bins, bins), coverage_chart(accuracy)]


def test_colours_are_the_pages(charts: list[str]) -> None:
    for chart in charts:
        assert re.findall("#[0-9a-f]{6}", chart) == []
        assert "var(--validation)" in chart or "var(--training)" in chart


def test_nothing_is_loaded_and_names_are_not_shared(charts: list[str]) -> None:
    found = Reader("".join(charts))
    assert "style" not in found.tags
    assert not re.search("(?:https?:|url\\((?!#))", re.sub('xmlns[^"]*"[^"]*"', "", "".join(charts)))
    names = re.findall(' id="([^"]*)"', "".join(charts))
    assert len(names) == len(set(names)) > 0


def test_size_and_words(charts: list[str]) -> None:
    assert max(map(len, charts)) < 60_000
    assert "temperature scaled" in Reader(charts[3]).texts
    assert 'role="img" aria-label="Accuracy by coverage"' in charts[4]


def test_the_same_picture_is_the_same_text() -> None:
    def drawn(title: str) -> str:
        figure = Figure(figsize=(2, 2))
        figure.add_subplot().plot([0, 1], [0, 1], marker="o")
        return inline_svg(figure, title)

    assert drawn("<a>") == drawn("<a>") != drawn("b")
    assert 'aria-label="&lt;a&gt;"' in drawn("<a>")
