"""What a weight file holds, as tables: the file that orders what ``jaxnext inspect`` says."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from jaxnext.config.yaml_text import load_config
from jaxnext.porting.dialects import sightings, without_wrappers
from jaxnext.porting.files.candidates import Described
from jaxnext.porting.files.pickle_names import Unread, shown
from jaxnext.porting.files.state_dict import read_weights
from jaxnext.porting.files.torch_file import numpy_dtype
from jaxnext.porting.net_fields import BACKBONE, Fields, config_fields, differences, net_fields
from jaxnext.porting.reparametrised import Source, together

_MOST_ROWS: Final = 40
"""Dicts of tensors that are shown one by one; an optimizer's are summed up."""


def contents(path: Path, configs: Path, *, every: bool, say: Callable[[str], None]) -> None:
    """Say what a weight file holds: its dicts of tensors, and of each that is a net which, and its tensors.

    Args:
        path: the file.
        configs: folder of the configs that it is compared with.
        every: whether each tensor has a row; else each block of a net has.
        say: shows a line, or a table.

    Raises:
        JaxnextError: the file cannot be read.
    """
    file = read_weights(path)
    say(f"{path}: {file.size:,} bytes")
    if aside := file.aside():
        say(aside)
    budget = file.budget()
    found = [("/".join(each.keys) or ".", each.tensors(budget)) for each in file.candidates]
    if not found:
        say("it holds no tensors with names")
        return
    rows = [(key, *_sums(tensors.values())) for key, tensors in _summed_up(found)]
    say(_table(("key", "tensors", "values", "dtypes", "bytes"), rows))
    known = {each.stem: config_fields(load_config(each).model) for each in sorted(configs.glob("*.yaml"))}
    for key, tensors in found:
        lines = _net_lines(tensors, known)
        if lines or every:
            say("\n".join([f"{key}:", *lines, _table(*_details(tensors, every=every))]))


def _summed_up(found: Sequence[tuple[str, Mapping[str, Described]]]) -> list[tuple[str, dict[str, Described]]]:
    """Return the dicts, those of a family of numbers (an optimizer's state) as one."""
    families: dict[str, dict[str, Described]] = {}
    for key, tensors in found:
        head, _, last = key.rpartition("/")
        many = len(found) > _MOST_ROWS and last.isdecimal()
        family = families.setdefault(f"{head}/*" if many else key, {})
        family.update({f"{last}/{name}" if many else name: tensor for name, tensor in tensors.items()})
    return list(families.items())


def _net_lines(tensors: Mapping[str, Described], known: Mapping[str, Fields]) -> list[str]:
    """Return what is said of the nets among the tensors; nothing where there is none."""
    clean: dict[str, Source] = {without_wrappers(name): tensor for name, tensor in together(tensors).items()}
    nets: dict[str, tuple[Fields, int, str]] = {}
    for prefix, dialect, names in sightings(clean):
        fields = net_fields({ours: clean[theirs] for ours, theirs in names.items()})
        if fields is not None and (prefix not in nets or len(names) > nets[prefix][1]):
            nets[prefix] = fields, len(names), dialect.text
    lines = []
    for prefix, (fields, count, dialect) in nets.items():
        behind = f" behind {prefix!a}" if prefix else ""
        by = f", by {dialect}" if dialect else ""
        lines.append(f"  a net of {count:,} tensors{behind}{by}: {_described(fields)}")
        lines += [f"  {line}" for line in _fit(fields, known)]
        beside = len(clean) - count
        if beside:
            lines.append(f"  {beside:,} tensor{'s' if beside > 1 else ''} beside it")
    return lines


def _described(fields: Fields) -> str:
    stages = fields["stage_sizes"]
    assert isinstance(stages, tuple)
    head = "no head" if fields["head"] == "none" else f"head {fields['head']}"
    classes = f" of {fields['classes']:,} classes" if fields["classes"] is not None else ""
    attention = f", {fields['attention']}" if fields["attention"] != "none" else ""
    blocks = f"{fields['block']} blocks {'-'.join(map(str, stages))} in {fields['groups']} groups"
    return f"{blocks}{attention}, {head}{classes}"


def _fit(fields: Fields, known: Mapping[str, Fields]) -> list[str]:
    """Return which configs fit, or what differs from the nearest."""
    differing = {name: differences(config, fields) for name, config in known.items()}
    whole = [name for name, lines in differing.items() if not lines]
    backbone = [
        name
        for name, config in known.items()
        if name not in whole and all(config[field] == fields[field] for field in BACKBONE)
    ]
    lines = [f"fits --config {' or '.join(whole)}"] if whole else []
    lines += [f"its backbone fits --config {' or '.join(backbone)}"] if backbone else []
    if not lines and differing:
        nearest = min(differing, key=lambda name: len(differing[name]))
        lines = [f"fits none of the configs; of --config {nearest} it differs in", *differing[nearest]]
    return lines


def _details(tensors: Mapping[str, Described], *, every: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    if every:
        return ("tensor", "shape", "dtype", "bytes"), [
            (shown(name), "x".join(map(str, _shape(tensor))) or "1", _dtype(tensor), f"{_bytes(tensor):,}")
            for name, tensor in tensors.items()
        ]
    groups: dict[str, list[Described]] = {}
    for name, tensor in tensors.items():
        # A block of a stage, or what the name has before its last part.
        pieces = name.split(".")
        numbers = [place for place, piece in enumerate(pieces) if piece.isdecimal()]
        end = numbers[0] + 1 if numbers else max(1, len(pieces) - 1)
        groups.setdefault(".".join(pieces[:end]), []).append(tensor)
    return ("module", "tensors", "values", "dtypes", "bytes"), [
        (shown(name), *_sums(members)) for name, members in groups.items()
    ]


def _sums(tensors: Iterable[Described]) -> tuple[str, ...]:
    """Return number, values, dtypes and bytes of some tensors."""
    tensors = list(tensors)
    dtypes = ", ".join(dict.fromkeys(_dtype(tensor) for tensor in tensors))
    values = sum(math.prod(_shape(tensor)) for tensor in tensors)
    return f"{len(tensors):,}", f"{values:,}", dtypes, f"{sum(_bytes(tensor) for tensor in tensors):,}"


def _shape(tensor: Described) -> tuple[int, ...]:
    return () if isinstance(tensor, Unread) else tensor.shape


def _dtype(tensor: Described) -> str:
    return f"not read ({shown(tensor.name)})" if isinstance(tensor, Unread) else str(tensor.dtype)


def _bytes(tensor: Described) -> int:
    if isinstance(tensor, Unread):
        return 0
    return math.prod(tensor.shape) * numpy_dtype(str(tensor.dtype)).itemsize


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows below a head, in columns; numbers at their right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if name in ("tensors", "values", "bytes") else cell.ljust(width)
            for cell, width, name in zip(row, widths, head, strict=True)
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)
