"""Where the net looks, in a report: a few images with maps over them, mistakes and right ones."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from jaxnext.reporting.page import text
from jaxnext.reporting.predictions import Predictions

_MISTAKES, _RIGHT = 12, 6
"""At most so many images."""

STYLE = """
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, calc(var(--across) * 122px)), 1fr));
  gap: 16px 20px; margin: 8px 0 16px; }
.maps figure > div { display: flex; gap: 6px; margin-bottom: 4px; }
.maps figure > div > div { flex: 0 1 118px; min-width: 0; font-size: 12px; color: var(--soft); text-align: center; }
"""


@dataclasses.dataclass(frozen=True)
class ImageMaps:
    """An image with maps over it."""

    number: int
    """of the image among the predictions"""
    pictures: tuple[tuple[str, str], ...]
    """what each shows, and its address"""


def images_with_maps(predictions: Predictions) -> list[int]:
    """Return the numbers of the most confident mistakes, and of the most confident right ones, one of each class."""
    order = np.argsort(-predictions.confidence, kind="stable")
    mistakes = order[~predictions.correct[order]][:_MISTAKES]
    right: dict[int, int] = {}
    for number in order[predictions.correct[order]].tolist():
        right.setdefault(int(predictions.truth[number]), number)
    return [*mistakes.tolist(), *list(right.values())[:_RIGHT]]


def within(shown: Iterable[ImageMaps], most: int) -> list[ImageMaps]:
    """Return the first ones whose addresses have no more than so many letters together."""
    found = []
    for image in shown:
        most -= letters([image])
        if most < 0:
            break
        found.append(image)
    return found


def letters(shown: Iterable[ImageMaps]) -> int:
    """Return how many letters the addresses have."""
    return sum(len(address) for image in shown for _, address in image.pictures)


def maps_section(shown: Sequence[ImageMaps], predictions: Predictions) -> str:
    """Return the section, HTML; nothing where no image has maps."""
    if not shown:
        return ""
    across = max(len(image.pictures) for image in shown)
    parts = [
        "<h2 id=maps>Where it looks</h2><p>Grad-CAM: what speaks for the predicted class, from none (blue) to most "
        "(red) in each image. "
    ]
    if across > 2:
        parts.append("CBAM: the weights of the net's own spatial attention, from the image's least to its largest. ")
    parts.append("Over the image as the net sees it.</p>")
    for title, is_right in (("Most confident mistakes", False), ("Right ones", True)):
        figures = [_figure(image, predictions) for image in shown if predictions.correct[image.number] == is_right]
        if figures:
            parts.append(f'<h3>{title}</h3><div class=maps style="--across:{across}">{"".join(figures)}</div>')
    return "".join(parts)


def _figure(image: ImageMaps, predictions: Predictions) -> str:
    number, names = image.number, predictions.classes
    path = predictions.paths[number]
    short = text(path.rpartition("/")[2])
    pictures = "".join(
        f'<div><span class=thumb role=img aria-label="{text(what)} of {short}" '
        f'style="background-image:url({address})"></span>{text(what)}</div>'
        for what, address in image.pictures
    )
    guess = f"<b>{text(names[predictions.predicted[number]])}</b> {predictions.confidence[number]:.1%}"
    if predictions.correct[number]:
        caption = f"is {guess}"
    else:
        truth = f"<b>{text(names[predictions.truth[number]])}</b> {predictions.of_truth[number]:.1%}"
        caption = f"is {truth}, predicted {guess}"
    name = f'<span title="{text(path)}">{short}</span>'
    return f"<figure><div>{pictures}</div><figcaption>{caption}<br>{name}</figcaption></figure>"
