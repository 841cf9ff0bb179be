"""Which state dict of a file is read where no net decides: that under the first of ``WRAPPERS`` that has tensors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import Candidate, Described
from jaxnext.porting.files.modules import Budget
from jaxnext.porting.files.torch_file import DTYPES

WRAPPERS: Final = ("state_dict", "model_state_dict", "model", "model_ema", "state_dict_ema")
"""Keys under which training scripts keep state dicts, also one in another; of several, the first is read."""

_MAX_WRAPPED: Final = 8
_SHOWN: Final = 5


class Choice(NamedTuple):
    """The state dict that is read, and what is said of those that are not."""

    tensors: dict[str, Described]
    note: str
    """What was passed over, as the second half of a line; empty where nothing was."""


class _Found(NamedTuple):
    keys: tuple[str, ...]
    tensors: dict[str, Described]


def choose(found: Sequence[Candidate], budget: Budget) -> Choice:
    """Choose the file's own dict or one under ``WRAPPERS``, however deep; without any, the only one that there is.

    Tensors beside a wrapped state dict that are none themselves (a best accuracy, a random state) are passed over.

    Raises:
        JaxnextError: there are no tensors; or several state dicts under other keys; or a bare state dict lies beside a
            wrapped one: they have a name in common, or a bare one's name has a dot, as those of modules do. The message
            does not name the file.
    """
    known = sorted((each for each in found if rank(each.keys) is not None), key=lambda each: rank(each.keys) or ())
    if not known and len(found) == 1:
        return Choice(found[0].tensors(budget), "")
    if not known:
        what = "several dicts of tensors, none of them bare or" if found else "no tensors, neither bare nor"
        places = [place(each.keys) for each in found]
        listed = f": found {', '.join(places[:_SHOWN])}{' and more' if len(places) > _SHOWN else ''}" if found else ""
        raise JaxnextError(f"it holds {what} under {', '.join(WRAPPERS)}{listed}")
    dicts = [_Found(each.keys, each.tensors(budget)) for each in known]
    read: list[_Found] = []
    stray: list[str] = []
    for each, inner in zip(dicts, [*dicts[1:], None], strict=True):
        # What lies in a dict follows it at once.
        if inner is None or inner.keys[: len(each.keys)] != each.keys:
            read.append(each)
            continue
        shared = next((name for name in each.tensors if "." in name or name in inner.tensors), None)
        if shared is not None:
            raise JaxnextError(
                f"it holds two state dicts, one bare (with {shared[:40]!a}) and one under {place(inner.keys)}: "
                "expected one of them, so save that which is meant alone"
            )
        stray += [ascii(name[:40]) for name in each.tensors]
    chosen, *others = read
    return Choice(chosen.tensors, said(chosen.keys, [each.keys for each in others], stray))


def rank(keys: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return where the keys of a state dict come in the order of ``WRAPPERS``; ``None``: they are others."""
    return tuple(WRAPPERS.index(key) for key in keys) if all(key in WRAPPERS for key in keys) else None


def said(chosen: tuple[str, ...], others: Sequence[tuple[str, ...]], stray: Sequence[str]) -> str:
    """Return what is said of a choice: the keys of other state dicts, and tensors beside it."""
    notes = []
    if others:
        notes.append(_listed([place(keys) for keys in others], "holds others and was", "hold others and were"))
    if stray:
        notes.append(_listed(stray, "beside it was", "beside it were"))
    return "; ".join([f"weights taken from {place(chosen)}", *notes]) if notes else ""


def place(keys: tuple[str, ...]) -> str:
    """Return the keys of a state dict as messages write them."""
    return ascii("/".join(key[:40] for key in keys)) if keys else "'.'"


def _listed(names: Sequence[str], singular: str, plural: str) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {plural if len(names) > 1 else singular} not read"


def resave_line(path: Path) -> str:
    """Return the line of PyTorch that saves the tensors of ``path`` alone, to ``<name>.tensors.pth`` beside it.

    It keeps the dicts under ``WRAPPERS``, so that of what it saves the same is chosen, and prints the names of tensors
    that are not read (complex or quantised ones, float8, sparse).
    """
    target = path.with_name(f"{path.stem}.tensors.pth")
    readable = tuple(f"torch.{dtype}" for dtype in DTYPES)
    is_read = f"str(u.layout) == 'torch.strided' and str(u.dtype) in {readable!r} or o.append(k)"
    is_searched = f"n and k in {WRAPPERS!r} and (hasattr(u, 'items') or hasattr(u, 'state_dict'))"
    return (
        f"import torch; o = []; f = lambda v, n={_MAX_WRAPPED}: "
        "{k: u.detach().clone() if torch.is_tensor(u) else f(u, n - 1) "
        "for k, u in getattr(v, 'state_dict', lambda: v)().items() "
        f"if ({is_read} if torch.is_tensor(u) else {is_searched})}}; "
        f"torch.save(f(torch.load({str(path)!r}, map_location='cpu', weights_only=False)), {str(target)!r}); "
        "print('left out, as they are not read:', o) if o else None"
    )
