import base64
import hashlib
import json
import re

from asgi import FakeNet, service
from html_reader import Reader

from jaxnext.inference.serving.drop_page import drop_page
from jaxnext.inference.serving.service import Service

EVIL = "</script><script>alert('&')</script>"


class Evil(FakeNet):
    classes = (EVIL, *map(str, range(9)))


def made(served: Service) -> tuple[str, str, dict[str, object]]:
    page = drop_page(EVIL, served)
    facts = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page.html)
    assert facts is not None
    return page.html, page.policy, json.loads(facts[1])


def test_the_page_loads_nothing_and_runs_its_own_script_only() -> None:
    html, policy, _ = made(service(Evil()))
    found = Reader(html)
    assert found.loaded == []
    assert found.tags.count("script") == 2
    assert EVIL in found.texts
    assert "10 classes: </script><script>alert('&')</script>, 0, 1, 2, 3, 4, 5, 6 and others" in found.texts
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for name, content in (("script-src", script), ("style-src", style)):
        assert rules[name] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert rules["default-src"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert (rules["connect-src"], rules["img-src"]) == ("'self'", "blob: data:")
    # Neither of them would be allowed by the policy.
    assert "style=" not in html
    assert not re.search(r"\son\w+=", html)


def test_what_the_script_is_told() -> None:
    assert made(service(Evil(), threshold=0.5, max_bytes=1000))[2] == {
        "maxBytes": 1000,
        "topK": 5,
        "threshold": 0.5,
        "methods": {"gradcam": "Grad-CAM"},
    }


def test_every_control_has_a_name() -> None:
    html = made(service())[0]
    for field in re.findall(r"<input[^>]*>", html):
        before = html[: html.index(field)]
        assert before.rindex("<label") > before.rfind("</label>")
    assert 'capture="environment"' in html
    assert html.count('accept="image/*"') == 2
    assert 'aria-live="polite"' in html
