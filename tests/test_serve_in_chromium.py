"""A server of its own process in a browser: images are chosen, dropped and pasted; nothing else is asked for."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_run import picture
from test_report_in_chromium import browser, pytestmark  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
EVIL = "<img src=x onerror=alert(1)>.jpg"
HAND_OVER = """([name, kind, data]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name));
  const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
    : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
  document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server, and its process."""
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), str(run), "--port", "0", "--threshold", "0.3"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address, _, rest = process.stdout.readline().partition(": ")
        assert rest == f"{run.name} is served; Ctrl-C stops it\n"
        yield address, process
        process.kill()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page(browser: Any, server: Any, tmp_path: Path, width: int, scheme: str) -> None:  # noqa: F811
    import base64

    from playwright.sync_api import expect

    address = server[0]
    picture("3", 0).save(tmp_path / "good.png")
    picture("5", 0).save(tmp_path / EVIL)
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html>")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width == 390)
    page, said, requested = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(address)
    assert page.locator("#camera").is_visible() == (width == 390)

    page.set_input_files("#choose", [tmp_path / name for name in ("good.png", EVIL, "page.jpg")])
    cards = page.locator("#results > li")
    expect(page.locator("#results > li:not(.busy)")).to_have_count(3)
    bad, evil, good = cards.all()
    assert evil.locator(".file").inner_text() == EVIL
    assert bad.get_attribute("class") == "wrong"
    assert bad.locator("h2").inner_text() == "the image cannot be read (not an image that Pillow can read)"
    assert good.locator("h2").inner_text() == "3"
    shares = [float(text.split("\n")[1].removesuffix(" %")) for text in good.locator(".top > li").all_inner_texts()]
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)
    widths = good.locator(".bar i").evaluate_all(
        "all => all.map((e) => 100 * e.getBoundingClientRect().width / e.parentElement.getBoundingClientRect().width)"
    )
    assert widths == pytest.approx(shares, abs=0.2)

    # The map of the net, by the keyboard, and back.
    good.get_by_role("button", name="Grad-CAM").focus()
    page.keyboard.press("Enter")
    expect(good.locator("img[src^='data:image/jpeg']")).to_have_count(1)
    assert good.locator("img").get_attribute("alt") == "good.png: where the net looks for 3, Grad-CAM"
    good.get_by_role("button", name="Image").click()
    expect(good.locator("img[src^='blob:']")).to_have_count(1)

    # An image of all colours is none of the classes.
    from PIL import Image

    Image.radial_gradient("L").save(tmp_path / "grey.png")
    for kind, count in (("drop", 4), ("paste", 5)):
        data = base64.b64encode((tmp_path / "grey.png").read_bytes()).decode()
        page.evaluate(HAND_OVER, ["grey.png", kind, data])
        expect(page.locator("#results > li:not(.busy)")).to_have_count(count)
        assert cards.first.locator(".file").inner_text() == "grey.png"
    assert page.locator("#said").inner_text().startswith("grey.png: ")

    assert page.evaluate("document.documentElement.scrollWidth") == width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(244, 246, 249)", "dark": "rgb(18, 22, 28)"}[scheme]
    # Chromium says what was refused, which here is the page that is no image.
    assert len(said) == 1
    assert "422" in said[0]
    asked = {url for url in requested if not url.startswith(("data:", "blob:"))}
    assert asked == {address, f"{address}predict", f"{address}predict?explain=gradcam"}
    page.locator("#clear").click()
    assert cards.count() == 0
    context.close()


def test_it_ends_well(server: Any) -> None:
    process = server[1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
