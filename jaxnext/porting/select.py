"""Which tensors of a file are a net's: found by what they are, under whatever keys and prefix and in whose names."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from jaxnext.errors import JaxnextError
from jaxnext.porting.dialects import WRAPPER_PARTS, Dialect, sightings, without_wrappers
from jaxnext.porting.files.candidates import Candidate
from jaxnext.porting.files.pickle_names import Unread
from jaxnext.porting.files.state_dict import WeightFile, without_prefixes
from jaxnext.porting.files.wrappers import choose, place, rank, said
from jaxnext.porting.reparametrised import Product, Source, together

_SHOWN: Final = 20
_TRAINING: Final = ("optim", "sched", "scaler", "rng", "callback", "loop", "amp")
"""In the keys of what a training script keeps for itself."""


class Selected(NamedTuple):
    """The tensors of a net, under torchvision's names, not yet read."""

    tensors: dict[str, Source]
    beside: dict[str, Source]
    """tensors that lie in the same dict and are none of the net's, by their names there"""
    lines: tuple[str, ...]
    """what was passed over or renamed"""


class _View(NamedTuple):
    """One way to see a candidate as the net."""

    candidate: Candidate
    prefix: str
    dialect: Dialect
    tensors: dict[str, Source]
    beside: dict[str, Source]
    names: float
    """share of the net's names that it has"""
    wrapped: bool
    """whether its names have parts of ``WRAPPER_PARTS``, which are taken out"""
    fits: bool
    """whether all that it has of them has the net's shapes, and none is missing"""

    @property
    def keys(self) -> tuple[str, ...]:
        return self.candidate.keys

    @property
    def place(self) -> str:
        return "/".join((*self.keys, *([self.prefix.rstrip(".")] if self.prefix else []))) or "."


def select(file: WeightFile, net: Mapping[str, tuple[int, ...]], key: str | None = None) -> Selected:
    """Find a net's tensors in a file.

    Args:
        file: as ``read_weights`` gives it.
        net: PyTorch's names and shapes of the tensors of the net's backbone, without counters.
        key: chooses, where several fit; as the error lists them.

    Raises:
        JaxnextError: nothing is there, or several that fit; or ``key`` is none of them.
    """
    try:
        budget = file.budget()
        found = [(each, each.tensors(budget)) for each in file.candidates]
        views = [view for each, tensors in found for view in _views(each, together(tensors), net)]
        views = [view for view in views if view.names >= 0.5]
        if any(view.fits for view in views):
            views = [view for view in views if view.fits]
        several = views
        if key is not None:
            views = _with_key(views, [each for each, _ in found], key)
        if not views:
            tensors, note = choose(file.candidates, file.budget())
            lines = [f"{file.path}: {note}"] if note else []
            return Selected(without_prefixes(together(tensors)), {}, tuple(lines))
        chosen, others = _first(views)
    except JaxnextError as error:
        raise JaxnextError(f"{file.path}: {error}") from None
    beside = chosen.beside
    lines = _lines(chosen, others, found)
    for other in several:
        # Another net in the same dict is none of this one's layers.
        if other.keys == chosen.keys and other.prefix != chosen.prefix:
            beside = {name: tensor for name, tensor in beside.items() if not name.startswith(other.prefix)}
            lines.append(f"left aside: {other.place!a} ({len(other.tensors):,} tensors)")
    return Selected(chosen.tensors, beside, tuple(f"{file.path}: {line}" for line in lines))


def _views(candidate: Candidate, tensors: dict[str, Source], net: Mapping[str, tuple[int, ...]]) -> list[_View]:
    if 2 * len(tensors) < len(net):
        return []
    clean = {without_wrappers(name): tensor for name, tensor in tensors.items()}
    wrapped = len(clean) == len(tensors) and clean.keys() != tensors.keys()
    tensors = clean if wrapped else tensors
    views: list[_View] = []
    for prefix, dialect, own in sightings(tensors):
        taken = set(own.values())
        beside = {name: tensor for name, tensor in tensors.items() if name not in taken}
        mine = {ours: tensors[name] for ours, name in own.items()}
        names = sum(name in mine for name in net) / len(net)
        fits = all(name in mine and _shape(mine[name]) == shape for name, shape in net.items())
        views.append(_View(candidate, prefix, dialect, mine, beside, names, wrapped, fits))
    best = max((view.names for view in views), default=0)
    # A dialect that renames nothing sees what torchvision's sees.
    seen: dict[str, _View] = {}
    for view in views:
        if view.names >= 0.5 * best and (view.prefix not in seen or view.names > seen[view.prefix].names):
            seen[view.prefix] = view
    return list(seen.values())


def _shape(tensor: Source) -> tuple[int, ...] | None:
    return None if isinstance(tensor, Unread) else tensor.shape


def _with_key(views: Sequence[_View], found: Sequence[Candidate], key: str) -> list[_View]:
    chosen = [view for view in views if key in (view.place, "/".join(view.keys) or ".")]
    if len(chosen) == 1:
        return chosen
    # What does not fit is listed only where nothing does.
    places = [view.place for view in views] or [place(each.keys).strip("'") for each in found]
    raise JaxnextError(f"--key: expected one of {', '.join(places[:_SHOWN])}, found {key!r}")


def _first(views: Sequence[_View]) -> tuple[_View, list[_View]]:
    """Return the view that is read and the others: of those under known keys, each seen in one way, the first."""
    ranks = [rank(view.keys) for view in views]
    once = len({view.keys for view in views}) == len(views)
    nested = any(a != b and b[: len(a)] == a for a in ranks for b in ranks if a is not None and b is not None)
    if len(views) > 1 and (None in ranks or not once or nested):
        listed = "\n".join(f"  --key {view.place}: {len(view.tensors):,} tensors" for view in views[:_SHOWN])
        raise JaxnextError(f"{len(views)} state dicts in it fit the net; choose one of them:\n{listed}")
    ordered = sorted(views, key=lambda view: rank(view.keys) or ())
    return ordered[0], ordered[1:]


def _lines(
    chosen: _View, others: Sequence[_View], found: Sequence[tuple[Candidate, Mapping[str, object]]]
) -> list[str]:
    taken = [view.keys for view in (chosen, *others)]
    stray: list[str] = []
    aside: list[str] = []
    for each, tensors in found:
        keys = each.keys
        if keys in taken or not tensors:
            continue
        if keys == chosen.keys[: len(keys)]:
            stray += [ascii(name[:40]) for name in tensors]
        elif not any(word in part.lower() for part in keys for word in _TRAINING):
            aside.append(f"{place(keys)} ({len(tensors):,} tensor{'s' if len(tensors) > 1 else ''})")
    lines = [note] if (note := said(chosen.keys, [view.keys for view in others], stray)) else []
    if not lines and rank(chosen.keys) is None:
        lines = [f"weights taken from {place(chosen.keys)}"]
    if aside:
        more = f" and {len(aside) - _SHOWN:,} more" if len(aside) > _SHOWN else ""
        lines.append(f"left aside: {', '.join(aside[:_SHOWN])}{more}")
    if chosen.wrapped:
        lines.append(f"what PyTorch puts around modules is taken out of the names ({', '.join(WRAPPER_PARTS)})")
    if chosen.prefix:
        lines.append(f"{chosen.prefix!a} is taken off the names")
    if chosen.dialect.text:
        lines.append(f"read by {chosen.dialect.text}")
    kinds = [tensor.kind for tensor in chosen.tensors.values() if isinstance(tensor, Product)]
    lines += [f"{kinds.count(kind):,} weights multiplied out ({kind})" for kind in dict.fromkeys(kinds)]
    return lines
