"""The report in a browser: nothing is requested, nothing complains, the table sorts, cells show their images."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reported import EVIL, report

from jaxnext.reporting.report_page import report_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed (pip install playwright)"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(context: Any) -> tuple[Any, list[str], list[str]]:
    """A new page, with what it says, complaints included, and the addresses that it asks for."""
    page, said, requested = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requested.append(request.url))
    return page, said, requested


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page(report()))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page(browser: Any, file: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, said, requested = watched(context)
    page.goto(file.as_uri())

    heads = page.locator("#classes th button")
    first = page.locator("#classes tbody tr td:first-child")
    assert first.first.inner_text() == EVIL
    heads.nth(1).click()
    supports = [int(cell) for cell in page.locator("#classes tbody tr td:nth-child(2)").all_inner_texts()]
    assert supports == sorted(supports)
    assert supports[0] < supports[-1]
    for descending in (False, True):
        heads.nth(3).click()
        cells = page.locator("#classes tbody tr td:nth-child(4)")
        recalls = cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")
        # Without images no recall, which stays last.
        assert recalls[-1] == ""
        assert [float(value) for value in recalls[:-1]] == sorted(map(float, recalls[:-1]), reverse=descending)

    assert page.locator("#cell").inner_text() == ""
    cell = page.locator(".matrix .mistaken").first
    cell.click()
    truth, guess = map(int, cell.get_attribute("data-cell").split(","))
    made = report().predictions
    count = int(made.confusion[truth, guess])
    assert f"{made.classes[truth]} taken for {made.classes[guess]}" in page.locator("#cell h3").inner_text()
    assert page.locator("#cell figure").count() == count
    pictures = page.locator("#cell .thumb").evaluate_all("all => all.map(e => getComputedStyle(e).backgroundImage)")
    assert all(picture.startswith('url("data:image/jpeg') for picture in pictures)
    page.locator(".pairs button").last.click()
    assert page.locator(".matrix .chosen").count() == 1
    page.locator("#cell button").click()
    assert page.locator(".matrix .chosen").count() == 0
    assert page.locator("#cell").inner_text() == ""

    # Each image as it is, with Grad-CAM and with CBAM.
    maps = page.locator(".maps .thumb").evaluate_all("all => all.map(e => getComputedStyle(e).backgroundImage)")
    assert len(maps) == 3 * len(report().maps) > 0
    assert all(picture.startswith('url("data:image/jpeg') for picture in maps)
    assert page.locator(".maps .thumb").last.is_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(244, 246, 249)", "dark": "rgb(18, 22, 28)"}[scheme]
    assert said == []
    assert [url for url in requested if not url.startswith("data:")] == [file.as_uri()]
    context.close()
