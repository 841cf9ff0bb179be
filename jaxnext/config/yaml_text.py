"""The YAML text of a ``Config``: read strictly, written so that it reads back equal.

YAML follows the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``1e-4`` is a number, ``yes``
and ``2020-01-01`` are text, ``010`` is ten. Nothing is repaired: an unknown or repeated key, a missing value or a
value of another type is a ``UsageError`` whose one sentence names the file, the key, what was expected and what was
found.
"""

import dataclasses
import difflib
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from jaxnext.config.sections import Config
from jaxnext.errors import UsageError

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
)


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused by the inherited method: a list or a mapping cannot be a key
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _integer(loader: yaml.SafeLoader, node: Any) -> int:
    return int(loader.construct_scalar(node))


# The dumper needs the loader's resolvers: they decide which text is quoted. With PyYAML's own, the text "1e-4" would be
# written bare and come back as a number.
for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}
    for _name, _pattern, _first in _CORE_SCHEMA:
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor(_TAG + "int", _integer)
_Dumper.add_representer(list, lambda dumper, data: dumper.represent_sequence(_TAG + "seq", data, flow_style=True))


def load_yaml(text: str) -> Any:
    """The value of one YAML document.

    Raises:
        ValueError: The text is not YAML, or repeats a key; the message is one clause, with the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem}{place}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def key_types(section: type = Config, prefix: str = "") -> dict[str, Any]:
    """Dotted key of every setting, in the order of the dataclasses, with its type; sections are left out."""
    hints = typing.get_type_hints(section)
    keys: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        hint = hints[field.name]
        keys |= key_types(hint, f"{prefix}{field.name}.") if _is_section(hint) else {prefix + field.name: hint}
    return keys


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like ``name``; a name without a section is also compared with the part after the last dot."""

    def likeness(candidate: str) -> float:
        last = candidate.rpartition(".")[2]
        forms = (candidate,) if "." in name else (candidate, last)
        return max(difflib.SequenceMatcher(None, name, form).ratio() for form in forms)

    return max(known, key=likeness)


def expected(hint: Any) -> str:
    """What a value of the type ``hint`` looks like, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(arguments)
    if origin is types.UnionType or origin is typing.Union:
        *first, last = (expected(a) for a in sorted(arguments, key=lambda a: a is types.NoneType))
        return f"{', '.join(first)} or {last}"
    if origin is tuple:
        return "a list of whole numbers such as [1, 2]"
    if origin is dict:
        return "names with values such as {size: 5}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text", types.NoneType: "null"}[hint]


def found(value: Any) -> str:
    """A value as YAML would write it, short enough for a sentence."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def check(value: Any, hint: Any, key: str) -> Any:
    """``value`` as the type ``hint``: whole numbers become numbers and lists tuples, nothing else is converted.

    Raises:
        ValueError: The value is of another type; the message names ``key``.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        for argument in arguments:
            if _matches(value, argument):
                return check(value, argument, key)
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(check(item, arguments[0], key) for item in value)
    elif origin is dict and isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise ValueError(f"{key}: expected names that are text, found {found(name)}")
        return {name: check(item, arguments[1], f"{key}.{name}") for name, item in value.items()}
    elif _matches(value, hint):
        return float(value) if hint is float else value
    raise ValueError(f"{key}: expected {expected(hint)}, found {found(value)}")


def build(values: Mapping[str, Any], section: Any = Config, prefix: str = "") -> Any:
    """The dataclass ``section`` (``Config``) from nested mappings; settings that are not named keep their defaults.

    Raises:
        ValueError: An unknown key, a value of another type, or one that the dataclass refuses, in one sentence.
    """
    hints = typing.get_type_hints(section)
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in hints:
            known = key_types()
            if key in known:
                raise ValueError(f"{key} is written as one key, expected {key.replace('.', ': {')}: ... }}")
            raise ValueError(f"unknown key {key}; did you mean {nearest(key, known)}?")
        if not _is_section(hints[name]):
            arguments[name] = check(value, hints[name], key)
        elif isinstance(value, Mapping):
            arguments[name] = build(value, hints[name], f"{key}.")
        else:
            raise ValueError(f"{key}: expected the settings of this section, found {found(value)}")
    return section(**arguments)


def load_config(path: Path) -> Config:
    """The ``Config`` of a YAML file; settings that the file does not name keep their defaults.

    Raises:
        UsageError: No such file, not UTF-8, not YAML, or anything that ``build`` refuses; the sentence begins with
            the path.
    """
    try:
        values = load_yaml(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: the config cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected YAML in UTF-8, found the byte {error.object[error.start]:#04x}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not YAML: {error}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected settings written as key: value, found {found(values)}")
    try:
        return build(values)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def config_names(configs_dir: Path) -> str:
    """The names that ``--config`` takes, in one line."""
    return ", ".join(sorted(file.stem for file in configs_dir.glob("*.yaml")))


def find_config(given: str, configs_dir: Path) -> tuple[str, Config]:
    """Name and content of what ``--config`` was given.

    A value with a folder in it, or that ends in .yaml, is the path of a file; any other is a name in ``configs_dir``.

    Raises:
        UsageError: No such config, or a file that ``load_config`` refuses.
    """
    path = Path(given)
    if path.name != given or path.suffix in (".yaml", ".yml"):
        return path.stem, load_config(path)
    path = configs_dir / f"{given}.yaml"
    if not path.is_file():
        known = config_names(configs_dir)
        near = f"; did you mean {nearest(given, known.split(', '))}?" if known else ""
        raise UsageError(f"--config: no config is named {given!r} in {configs_dir} ({known or 'it has none'}){near}")
    return given, load_config(path)


def dump_config(config: Config) -> str:
    """YAML text with every setting of ``config``; ``load_config`` reads an equal one from it."""
    values = _plain(dataclasses.asdict(config))
    return yaml.dump(
        values,
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=False,
        # PyYAML would write the next-line character as it stands, and read it as a line break.
        allow_unicode="\\x85" not in repr(values),
        width=2**16,
    )


def _is_section(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint)


def _matches(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return isinstance(value, str) and value in typing.get_args(hint)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(hint, type) and isinstance(value, hint)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
