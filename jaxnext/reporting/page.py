"""What pages are made of: one HTML document with everything in it, and texts that stay texts."""

from collections.abc import Iterable
from html import escape

from jaxnext.errors import printable
from jaxnext.reporting.page_style import STYLE


def document(
    title: str, main: str, header: str = "", style: str = "", script: str = "", refresh: int | None = None
) -> str:
    """Return a document that loads nothing else.

    Args:
        title: its name, text.
        main: what it shows, HTML.
        header: HTML beside its name.
        style: further rules of CSS.
        script: JavaScript, run when all is there.
        refresh: seconds after which it is loaded again; ``None``: it is not.
    """
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">'
    run = f"<script>{script}</script>" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}<title>{text(title)}</title>'
        f"<style>{STYLE}{style}</style></head><body><header><h1>{text(title)}</h1>{header}</header>"
        f"<main>{main}</main>{run}</body></html>\n"
    )


def text(value: str) -> str:
    """Return a text as HTML; a byte of a name that is not UTF-8 as an escape."""
    return escape(printable(value))


def paragraphs(lines: Iterable[str]) -> str:
    """Return a paragraph for each text."""
    return "".join(f"<p>{text(line)}</p>" for line in lines)


def more(count: int, what: str = "images") -> str:
    """Return a paragraph about what is not shown; nothing where all is."""
    return f"<p>and {count:,} more {what}</p>" if count > 0 else ""


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and what is to be said of each, both texts."""
    return f"<dl>{''.join(f'<dt>{text(name)}</dt><dd>{text(value)}</dd>' for name, value in rows)}</dl>"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of texts."""
    first = "".join(f"<th>{text(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table></div>"
