"""The images that are most like some others, as one HTML file with everything in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnext.atomic import whole_file
from jaxnext.reporting.page import document, text

SIDE, QUERY_SIDE = 168, 280
"""Pixels of the longer side of a picture, and of that of an image that was asked for."""
_STYLE = """
.similar { display: grid; grid-template-columns: 210px 1fr; gap: 20px; margin-top: 20px; }
.similar > figure img { height: auto; max-height: 280px; }
.nearest { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 14px;
  align-content: start; }
.nearest img { height: 130px; }
.nearest .same img { outline: 3px solid var(--validation); outline-offset: -3px; }
.nearest .same span { color: var(--validation); font-weight: 600; }
@media (max-width: 560px) {
  .similar { grid-template-columns: 1fr; }
  .similar > figure { display: grid; grid-template-columns: 96px 1fr; gap: 10px; align-items: center; }
  .similar > figure img { max-height: 96px; }
  .nearest { grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: 10px; }
  .nearest img { height: 96px; }
}
"""


class Neighbour(NamedTuple):
    """An image that is near another."""

    name: str
    """path below the folder that was searched"""
    location: str
    """full path"""
    similarity: float
    """cosine of the angle between the embeddings, -1 to 1"""
    is_same: bool
    """whether the net sees the very same pixels"""
    picture: str | None
    """address of its thumbnail; ``None`` where it cannot be read any more"""


class Query(NamedTuple):
    """An image whose neighbours were looked for."""

    name: str
    picture: str
    neighbours: Sequence[Neighbour]
    """the nearest first"""


def write_similar(queries: Sequence[Query], images: int, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        queries: with their neighbours.
        images: that were searched.
        path: of the file.

    Raises:
        JaxnextError: it cannot be written.
    """
    with whole_file(path) as file:
        file.write(similar_page(queries, images))


def similar_page(queries: Sequence[Query], images: int) -> str:
    """Return the page: a document that loads nothing else and runs nothing."""
    head = f"<p>The nearest of {images:,} images by the cosine of their embeddings: 1 is the same direction.</p>"
    return document("Similar images", head + "".join(map(_section, queries)), style=_STYLE)


def _section(query: Query) -> str:
    cards = "".join(map(_card, query.neighbours))
    return (
        f"<section class=similar><figure>{_image(query.picture, query.name)}<figcaption>"
        f"<b>{text(query.name)}</b></figcaption></figure><div class=nearest>{cards}</div></section>"
    )


def _card(found: Neighbour) -> str:
    same = "<br><span>the same image</span>" if found.is_same else ""
    return (
        f'<figure class="{"same" if found.is_same else ""}">{_image(found.picture, found.location)}<figcaption>'
        f"<b>{found.similarity:.3f}</b>{same}<br>{text(found.name)}</figcaption></figure>"
    )


def _image(picture: str | None, name: str) -> str:
    if picture is None:
        return "<span class=gone>gone</span>"
    return f'<img src="{picture}" alt="{text(name)}" title="{text(name)}" loading="lazy">'
