"""The page on which images are dropped: one document, which loads nothing and sends images to its own server only."""

import base64
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from jaxnext.inference.serving.service import Service
from jaxnext.reporting.page import document, text
from jaxnext.reporting.page_style import STYLE

_METHODS = {"gradcam": "Grad-CAM", "cbam": "Attention"}
"""How the page calls them."""


class DropPage(NamedTuple):
    """A page, and what a browser may do for it."""

    html: str
    policy: str
    """a Content-Security-Policy"""


def drop_page(title: str, service: Service) -> DropPage:
    """Return the page.

    Args:
        title: name of what is served.
        service: to which it sends images.
    """
    folder = Path(__file__).parent
    script, style = ((folder / f"drop_page.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    facts = {
        "maxBytes": service.limits.max_bytes,
        "topK": service.default_top_k,
        "threshold": service.threshold,
        "methods": {method: _METHODS[method] for method in service.methods},
    }
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(STYLE + style)}; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    classes = service.net.classes
    shown = ", ".join(classes[:8]) + (" and others" if len(classes) > 8 else "")
    header = f"<p>{len(classes):,} classes: {text(shown)}</p>"
    # The sign < cannot end the element.
    data = json.dumps(facts).replace("<", "\\u003c")
    main = (folder / "drop_page.html").read_text(encoding="utf-8").replace("FACTS", data)
    return DropPage(document(title, main, header, style, script), policy)


def _source(content: str) -> str:
    """What names a text that stands in a page, and no other, as allowed."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
