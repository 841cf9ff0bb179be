from html_reader import Reader
from reported import facts

from jaxnext.reporting.live_page import live_page


def test_the_page_has_figures_and_pictures_and_loads_itself_again() -> None:
    page = live_page("r<s>", facts(3), {"head": 7}, {"First batch": b"png"}, 30)
    found = Reader(page)
    assert found.texts.count("Run: r<s>") == 2
    assert '<meta http-equiv="refresh" content="30">' in page
    assert "After epoch 3. The run is being trained; the page loads itself again every 30 s." in found.texts
    assert "data:image/png;base64,cG5n" in page
    assert page.count("<svg") == 3
    assert f"3 of {facts(3).config.epochs}" in found.texts


def test_the_page_of_a_run_that_has_ended_stays() -> None:
    page = live_page("r", facts(1), {"head": 7}, {}, None)
    assert "http-equiv" not in page
    assert "After epoch 1. The run is done or stopped." in Reader(page).texts
