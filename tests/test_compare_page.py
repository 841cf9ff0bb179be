import re

import pytest
from compared_runs import compared
from html_reader import Reader
from reported import EVIL

from jaxnext.reporting.compare_page import compare_page
from jaxnext.reporting.comparison import compare


@pytest.fixture(scope="module")
def page() -> str:
    runs = [compared(f"a{EVIL}"), compared("$b$", 2.1, head="fc"), compared("c", 0.3, seed=1, epochs=2)]
    return compare_page(f"Comparison: {EVIL}", compare(runs), runs)


def test_names_are_text_and_nothing_is_loaded(page: str) -> None:
    found = Reader(page)
    assert found.tags.count("script") == 1
    assert EVIL not in page
    assert f"Comparison: {EVIL}" in found.texts
    assert f"a{EVIL}" in found.texts
    assert found.loaded == [] or all(where.startswith("#") for where in found.loaded)
    assert not re.search(r"https?:(?!//www\.w3\.org)|@import|fetch\(", page)
    assert len(page) < 5_000_000


def test_it_says_what_is_chance(page: str) -> None:
    words = " ".join(Reader(page).texts)
    assert "not distinguishable" in words
    assert "more than chance" in words
    assert "3 settings, 3 runs, 60 validation images" in words
