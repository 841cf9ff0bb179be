"""What an inspection of a data set has found, in lines of text."""

import collections
from collections.abc import Callable, Iterable

from jaxnext.data import remarks
from jaxnext.data.inspection import Facts, Group, Inspection
from jaxnext.errors import printable

_CLASSES, _LISTED, _MEMBERS, _SIZES = 40, 20, 6, 3
"""At most so many classes, bad images and groups, images of a group, and sizes are shown."""


def report(inspection: Inspection) -> list[str]:
    """Return everything that a user is told, what is wrong last."""
    lines = [*class_table(inspection), *(f"{title}: {text}" for title, text in statistics(inspection))]
    lines += remark_lines(inspection)
    bad = list(inspection.bad.values())
    lines += [str(image) for image in bad[:_LISTED]] + _more(len(bad) - _LISTED, "images that cannot be read")
    for group in inspection.groups[:_LISTED]:
        lines += [f"{described(group)}:", *(f"  {member(inspection, i)}" for i in group.numbers[:_MEMBERS])]
        lines += [f"  {line}" for line in _more(len(group.numbers) - _MEMBERS, "images")]
    lines += _more(len(inspection.groups) - _LISTED, "groups of duplicates")
    return [*lines, *verdict(inspection)]


def class_table(inspection: Inspection) -> list[str]:
    """Return a line for each class: images for training and for validation; of many classes the smallest are kept."""
    counts, names = inspection.counts().tolist(), inspection.splits.classes
    chosen = sorted(range(len(names)), key=lambda i: counts[i])[:_CLASSES]
    width = max([len("class"), *(len(printable(names[i])) for i in chosen)])
    lines = [f"{'class':<{width}}  training  validation"]
    lines += [f"{printable(names[i]):<{width}}  {counts[i][0]:>8,}  {counts[i][1]:>10,}" for i in sorted(chosen)]
    return lines + _more(len(names) - _CLASSES, "classes, none with fewer images")


def statistics(inspection: Inspection) -> list[tuple[str, str]]:
    """Return what images have in common and what not: a title and a text for each kind of thing."""
    found = [("imbalance", _imbalance(inspection))]
    facts = inspection.facts
    if not facts:
        return found
    return [
        *found,
        ("sizes", _sizes(inspection)),
        ("shapes", _shapes(inspection)),
        ("modes", _counted(each.mode for each in facts.values())),
        ("orientations", _orientations(inspection)),
    ]


def remark_lines(inspection: Inspection) -> list[str]:
    """Return a line for each kind of image that is not taken whole."""
    return remarks.lines(collections.Counter(kind for each in inspection.facts.values() for kind in each.remarks))


def described(group: Group) -> str:
    """Say in what way images are the same, and what of it is wrong."""
    words = ["the same file" if group.is_same else "nearly the same picture"]
    words += ["in training and in validation"] * group.across + ["with different labels"] * group.labels_differ
    return ", ".join(words)


def member(inspection: Inspection, number: int) -> str:
    """Say which image of a group one is."""
    split = "validation" if inspection.is_validation(number) else "training"
    return printable(f"{inspection.location(number)} ({split}, {inspection.class_name(number) or 'no label'})")


def verdict(inspection: Inspection) -> list[str]:
    """Return how many images are wrong in which way; one line where nothing is."""
    groups = inspection.groups
    copies = sum(len(group.numbers) - 1 for group in groups)
    lines = [f"duplicates: {copies:,} in {len(groups):,} groups of images that are the same or nearly"] * bool(groups)
    across, differ = sum(group.across for group in groups), sum(group.labels_differ for group in groups)
    lines += [f"wrong: images that cannot be read: {len(inspection.bad):,}"] * bool(inspection.bad)
    lines += [f"wrong: groups of duplicates in training and in validation: {across:,}"] * bool(across)
    lines += [f"wrong: groups of duplicates with different labels: {differ:,}"] * bool(differ)
    return lines if inspection.is_wrong else [*lines, f"nothing wrong found in {len(inspection):,} images"]


def _more(count: int, what: str) -> list[str]:
    return [f"and {count:,} more {what}"] if count > 0 else []


def _imbalance(inspection: Inspection) -> str:
    counts, names = inspection.counts()[:, 0].tolist(), inspection.splits.classes
    low, high = (choose(range(len(counts)), key=counts.__getitem__) for choose in (min, max))
    if counts[low] == counts[high]:
        return f"none, images for training: {counts[low]:,} of each class"
    times = f", {counts[high] / counts[low]:.1f} times as many" if counts[low] else ""
    return printable(f"images for training: {counts[low]:,} of {names[low]}, {counts[high]:,} of {names[high]}{times}")


def _sizes(inspection: Inspection) -> str:
    sizes = collections.Counter(f"{each.width}x{each.height}" for each in inspection.facts.values())
    common = ", ".join(f"{size} {count:,}" for size, count in sizes.most_common(_SIZES))
    if len(sizes) == 1:
        return common
    ends = [_extreme(inspection, choose, lambda each: each.width * each.height) for choose in (min, max)]
    more = f" and {len(sizes) - _SIZES:,} others" if len(sizes) > _SIZES else ""
    shown = [f"{facts.width}x{facts.height} ({inspection.location(number)})" for number, facts in ends]
    return printable(f"{common}{more}; smallest {shown[0]}, largest {shown[1]}")


def _shapes(inspection: Inspection) -> str:
    kinds = {-1: "upright", 0: "square", 1: "wide"}
    signs = ((each.width > each.height) - (each.width < each.height) for each in inspection.facts.values())
    number, facts = _extreme(inspection, max, _length)
    longest = f"longest {_length(facts):.1f} to 1 ({inspection.location(number)})"
    return printable(f"{_counted(kinds[sign] for sign in signs)}; {longest}")


def _length(facts: Facts) -> float:
    return max(facts.width, facts.height) / min(facts.width, facts.height)


def _orientations(inspection: Inspection) -> str:
    turned = sum(each.orientation != 1 for each in inspection.facts.values())
    counted = _counted(f"{each.orientation}:" for each in inspection.facts.values())
    how = "turned upright" if inspection.pixels.orientation == "exif" else "taken as stored"
    return f"{counted}; {turned:,} {how}" if turned else counted


def _extreme(
    inspection: Inspection, choose: Callable[..., tuple[int, Facts]], key: Callable[[Facts], float]
) -> tuple[int, Facts]:
    return choose(inspection.facts.items(), key=lambda item: key(item[1]))


def _counted(values: Iterable[str]) -> str:
    return ", ".join(f"{value} {count:,}" for value, count in collections.Counter(values).most_common())
