"""The YAML text of a ``Config``: read strictly, written so that it reads back equal.

YAML follows the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``1e-4`` is a number, ``yes``
and ``2020-01-01`` are text, ``010`` is ten. Nothing is repaired: an unknown or repeated key, a missing value or a
value of another type is a ``UsageError`` whose one sentence names the file, the key, what was expected and what was
found.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from jaxnext.config.mapping import build, plain
from jaxnext.config.older_formats import upgrade, upgrade_written
from jaxnext.config.sections import Config
from jaxnext.config.values import found, nearest
from jaxnext.errors import UsageError

_MOST_VALUES = 100_000
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
    """Return the value of one YAML document.

    Raises:
        ValueError: The text is not YAML, or repeats a key; the message is one clause, with the line.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_count(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem}{place}") from error
    except RecursionError as error:
        raise ValueError("values in one another, deeper than is read") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (KeyError, TypeError, AttributeError) as error:  # PyYAML's, of texts that are not as their tag says
        raise ValueError(f"a value that is not as its tag says ({' '.join(str(error).split())})") from error


def _check_count(node: yaml.Node) -> None:
    """Refuse a document whose aliases stand for very many values, or for themselves: to show one would never end.

    Raises:
        ValueError: there are more than ``_MOST_VALUES``, or an anchor holds its own alias.
    """
    counts: dict[int, int | None] = {}

    def count(node: yaml.Node) -> int:
        known = counts.setdefault(id(node), 0)
        if known is None:
            raise ValueError(f"an anchor that contains itself (line {node.start_mark.line + 1})")
        if known:
            return known
        counts[id(node)] = None
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        found = counts[id(node)] = 1 + sum(map(count, inner))
        if found > _MOST_VALUES:
            raise ValueError(f"its aliases stand for more than {_MOST_VALUES:,} values")
        return found

    count(node)


def load_config(path: Path, *, written: bool = False) -> Config:
    """Return the ``Config`` of a YAML file; settings that the file does not name keep their defaults.

    Args:
        path: of the file.
        written: by a run, so that it says what an earlier version did; see ``upgrade_written``.

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
        return build(upgrade_written(values) if written else upgrade(values))
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def config_names(configs_dir: Path) -> str:
    """Return the names that ``--config`` takes, in one line."""
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
    """Return YAML text with every setting of ``config``; ``load_config`` reads an equal one from it."""
    values = plain(config)
    return yaml.dump(
        values,
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=False,
        # PyYAML would write the next-line character as it stands, and read it as a line break.
        allow_unicode="\\x85" not in repr(values),
        width=2**16,
    )
