"""What an inspection of a data set has found, as one HTML file with everything in it."""

from html import escape
from pathlib import Path

import numpy as np

from jaxnext.atomic import whole_file
from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.inspection import Group, Inspection
from jaxnext.reporting.check_text import described, remark_lines, statistics
from jaxnext.reporting.page import document, more, paragraphs, text
from jaxnext.reporting.thumbnails import data_uri

_GROUPS, _MEMBERS, _BAD, _CLASSES, _EXAMPLES = 100, 12, 200, 200, 6
"""At most so many groups of duplicates, images of a group, bad images, classes and images of a class are shown."""
_SIDE = 128
"""Pixels of a thumbnail's longer side."""


def write_page(inspection: Inspection, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        inspection: what was found; thumbnails are decoded anew.
        path: of the file.

    Raises:
        JaxnextError: it cannot be written.
    """
    with whole_file(path) as file:
        file.write(page(inspection))


def page(inspection: Inspection) -> str:
    """Return the page: a document that loads nothing else and runs nothing."""
    groups, bad = inspection.groups, inspection.bad
    across, differ = sum(group.across for group in groups), sum(group.labels_differ for group in groups)
    tiles = [
        (len(inspection.splits.train), "for training", False),
        (len(inspection.splits.validation), "for validation", False),
        (len(inspection.splits.classes), "classes", False),
        (len(bad), "cannot be read", bool(bad)),
        (across, "duplicates across the split", bool(across)),
        (differ, "duplicates with different labels", bool(differ)),
    ]
    shown = "".join(
        f'<li class="{"wrong" if wrong else ""}"><b>{count:,}</b>{escape(label)}</li>' for count, label, wrong in tiles
    )
    word = "Something is wrong" if inspection.is_wrong else "Nothing wrong found"
    return document(
        "Data check",
        f"{paragraphs(inspection.splits.description)}<ul class=tiles>{shown}</ul>"
        f"{_bad_images(inspection)}{_duplicates(inspection)}{_common(inspection)}{_classes(inspection)}",
        header=f'<p class="verdict {"wrong" if inspection.is_wrong else "good"}">{word}</p>',
    )


def _bad_images(inspection: Inspection) -> str:
    bad = list(inspection.bad.values())
    if not bad:
        return ""
    rows = "".join(f"<tr><td>{text(image.name)}</td><td>{text(image.reason)}</td></tr>" for image in bad[:_BAD])
    return (
        f"<h2>Images that cannot be read</h2><table><tr><th>file</th><th>reason</th></tr>{rows}</table>"
        f"{more(len(bad) - _BAD)}"
    )


def _duplicates(inspection: Inspection) -> str:
    groups = inspection.groups
    if not groups:
        return ""
    cards = "".join(_group(inspection, group) for group in groups[:_GROUPS])
    return f"<h2>Duplicates</h2><div class=groups>{cards}</div>{more(len(groups) - _GROUPS, 'groups')}"


def _group(inspection: Inspection, group: Group) -> str:
    pictures = "".join(_figure(inspection, number) for number in group.numbers[:_MEMBERS])
    words = described(group)
    return (
        f'<section class="{"wrong" if group.is_wrong else ""}"><h3>{words[0].upper()}{escape(words[1:])}</h3>'
        f"<div class=pictures>{pictures}</div>{more(len(group.numbers) - _MEMBERS)}</section>"
    )


def _figure(inspection: Inspection, number: int) -> str:
    split = "validation" if inspection.is_validation(number) else "training"
    source, index = inspection.place(number)
    name = source.names[index].rpartition("/")[2]
    return (
        f"<figure>{_thumbnail(inspection, number)}<figcaption><b>{text(inspection.class_name(number))}</b> "
        f'<span class="{split}">{split}</span><br>'
        f'<span title="{text(inspection.location(number))}">{text(name)}</span></figcaption></figure>'
    )


def _common(inspection: Inspection) -> str:
    rows = "".join(f"<dt>{escape(title)}</dt><dd>{text(line)}</dd>" for title, line in statistics(inspection))
    return f"<h2>All images</h2><dl>{rows}</dl>{paragraphs(remark_lines(inspection))}"


def _classes(inspection: Inspection) -> str:
    counts = inspection.counts()
    most = max(1, int(counts.sum(1).max()))
    labels = inspection.splits.train.labels
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(len(counts) + 1))
    cards = []
    for label, name in enumerate(inspection.splits.classes[:_CLASSES]):
        mine = [i for i in order[ends[label] : ends[label + 1]].tolist() if i in inspection.facts]
        chosen = [mine[i] for i in np.linspace(0, len(mine) - 1, min(_EXAMPLES, len(mine))).astype(int)]
        train, validation = counts[label].tolist()
        bars = "".join(
            f'<i class="{split}" style="width:{100 * count / most:.2f}%"></i>'
            for split, count in (("training", train), ("validation", validation))
        )
        pictures = "".join(_thumbnail(inspection, number) for number in chosen)
        cards.append(
            f"<section><h3>{text(name)}</h3><p>{train:,} for training, {validation:,} for validation</p>"
            f"<div class=bar>{bars}</div><div class=row>{pictures}</div></section>"
        )
    rest = len(inspection.splits.classes) - _CLASSES
    return f"<h2>Classes</h2><div class=classes>{''.join(cards)}</div>{more(rest, 'classes')}"


def _thumbnail(inspection: Inspection, number: int) -> str:
    try:
        image = inspection.decoded(number)
    except (CorruptImage, OSError):  # it could be read before
        return "<span class=gone>gone</span>"
    title = text(inspection.location(number))
    return f'<img src="{data_uri(image, _SIDE, quality=80)}" alt="" title="{title}" loading="lazy">'
