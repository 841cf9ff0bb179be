"""Which of the state dicts in a checkpoint is read: the one under the first of ``WRAPPERS`` that holds any tensors."""

from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import Tensor
from jaxnext.porting.files.torch_file import DTYPES

WRAPPERS: Final = ("state_dict", "model_state_dict", "model", "model_ema", "state_dict_ema")
"""Keys under which training scripts keep state dicts, also one in another; of several, the first is read."""

_MAX_WRAPPED: Final = 8
_SHOWN: Final = 5


class Choice(NamedTuple):
    """The state dict that is read, and what is said of those that are not."""

    tensors: dict[str, Tensor]
    note: str
    """What was passed over, as the second half of a line; empty where nothing was."""


class _Found(NamedTuple):
    keys: tuple[str, ...]
    tensors: dict[str, Tensor]


def choose(value: object) -> Choice:
    """Find the state dict in what a file holds: the object itself, or a dict under ``WRAPPERS``, however deep.

    Tensors beside a wrapped state dict that are none themselves (a best accuracy, a random state) are passed over.

    Raises:
        JaxnextError: there are no tensors, or a bare state dict lies beside a wrapped one: they have a name in common,
            or a bare one's name has a dot, as those of modules do. The message does not name the file.
    """
    if type(value) is not dict:
        return _no_tensors("its object is not a dict")
    found = _state_dicts(value)
    if not found:
        keys = ", ".join(ascii(name[:40]) for name in list(value)[:10])
        return _no_tensors(f"its keys are {keys}" if keys else "its dict has no names")
    read: list[_Found] = []
    stray: list[str] = []
    for each, inner in zip(found, [*found[1:], None], strict=True):
        # What lies in a dict follows it at once.
        if inner is None or inner.keys[: len(each.keys)] != each.keys:
            read.append(each)
            continue
        shared = next((name for name in each.tensors if "." in name or name in inner.tensors), None)
        if shared is not None:
            raise JaxnextError(
                f"it holds two state dicts, one bare (with {shared[:40]!a}) and one under {_place(inner)}: expected "
                "one of them, so save that which is meant alone"
            )
        stray += [ascii(name[:40]) for name in each.tensors]
    chosen, *others = read
    notes = []
    if others:
        notes.append(_listed([_place(each) for each in others], "holds others and was", "hold others and were"))
    if stray:
        notes.append(_listed(stray, "beside it was", "beside it were"))
    return Choice(chosen.tensors, "; ".join([f"weights taken from {_place(chosen)}", *notes]) if notes else "")


def _state_dicts(value: dict[str, object]) -> list[_Found]:
    """List all dicts with tensors, the object itself and those under ``WRAPPERS``, in the order of choice."""
    found: list[_Found] = []
    # A dict may contain itself, or another thousands of times: each is looked at once.
    seen: set[int] = set()

    def look(current: dict[str, object], keys: tuple[str, ...]) -> None:
        seen.add(id(current))
        tensors = {name: item for name, item in current.items() if isinstance(item, Tensor)}
        if tensors:
            found.append(_Found(keys, tensors))
        for name in WRAPPERS:
            inner = current.get(name)
            if type(inner) is dict and id(inner) not in seen and len(keys) < _MAX_WRAPPED:
                look(inner, (*keys, name))

    look(value, ())
    return found


def _place(found: _Found) -> str:
    return repr("/".join(found.keys))


def _listed(names: list[str], singular: str, plural: str) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more} {plural if len(names) > 1 else singular} not read"


def _no_tensors(found: str) -> NoReturn:
    raise JaxnextError(f"it holds no tensors, neither bare nor under {', '.join(WRAPPERS)}; {found}")


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
