"""The comparison in a browser: nothing is requested, nothing complains, the tables sort."""

from pathlib import Path
from typing import Any

import pytest
from compared_runs import compared
from reported import EVIL
from test_report_in_chromium import browser, pytestmark, watched  # noqa: F401

from jaxnext.reporting.compare_page import compare_page
from jaxnext.reporting.comparison import compare


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_comparison(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:  # noqa: F811
    runs = [compared(f"a{EVIL}"), compared("b", 6.0, head="fc"), compared("c", 0.3, epochs=2)]
    file = tmp_path / "compare.html"
    file.write_text(compare_page(f"Comparison {EVIL}", compare(runs), runs))
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, said, requested = watched(context)
    page.goto(file.as_uri())
    names = page.locator("#settings tbody tr td:first-child")
    assert names.all_inner_texts() == ["b", f"a{EVIL}", "c"]
    page.locator("#settings th button").nth(2).click()
    assert names.all_inner_texts() == ["c", f"a{EVIL}", "b"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert (said, requested) == ([], [file.as_uri()])
    context.close()
