"""One of several files that offer the same thing, chosen by its name, with the options that its file declares.

A folder such as ``models/heads`` holds one file an alternative, each with a dataclass of one name (``Head``). Its
fields are the options. Names and options are read from the files' text: listing them, for ``--help`` or to refuse an
unknown key, imports nothing. A file is imported by its name where a choice is built, which is how a config, on the
lowest floor, leads to code above it.
"""

import ast
import dataclasses
import functools
import importlib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxnext.config.values import check, nearest
from jaxnext.errors import UsageError

NONE = "none"
"""The name of no alternative at all, where that is allowed."""

_PACKAGE = Path(__file__).resolve().parent.parent


class Option(NamedTuple):
    """A field of an alternative's dataclass."""

    hint: Any
    """its type"""
    default: Any
    text: str
    """its docstring, in one line"""


@dataclasses.dataclass(frozen=True)
class Alternatives:
    """A folder of alternatives."""

    key: str
    """dotted key of the setting that chooses among them"""
    package: str
    """dotted name of the folder below ``jaxnext``"""
    kind: str
    """name of the class in each file"""
    given: tuple[str, ...] = ()
    """fields that are no options: whoever builds the class gives them"""
    optional: bool = False
    """whether ``none`` may be chosen"""
    many: bool = False
    """whether several may be chosen, in a list; an option's key then has its alternative's name in it"""
    light: bool = False
    """whether a file is imported in no time, so that ranges of options are checked as soon as they are read"""

    def names(self) -> tuple[str, ...]:
        """Return the names to choose from, those of the folder's files."""
        files = sorted(file.stem for file in self._folder.glob("*.py") if not file.stem.startswith("_"))
        return (NONE,) * self.optional + tuple(files)

    def options(self, name: str) -> Mapping[str, Option]:
        """Return the options of an alternative, by name, in the order of its file.

        Raises:
            ValueError: there is no such alternative; names the setting and what there is.
        """
        known = self.names()
        if name not in known:
            raise ValueError(
                f"{self.key}: expected one of {', '.join(known)}, found {name!r}; did you mean {nearest(name, known)}?"
            )
        return {} if name == NONE and self.optional else _read(self._folder / f"{name}.py", self.kind, self.given)

    def choose(self, name: str, /, **values: Any) -> "Choice":
        """Choose an alternative; options that are not named keep their defaults.

        Args:
            name: of its file.
            values: of its options.

        Raises:
            ValueError: no such alternative or option, or a value of another type; names the key.
        """
        options = self.options(name)
        prefix = f"{self.key}.{name}" if self.many else self.key
        for option in values:
            if option not in options:
                raise ValueError(f"unknown key {prefix}.{option}: {self.has(name)}")
        return Choice(
            name,
            {
                option: check(values[option], hint, f"{prefix}.{option}") if option in values else default
                for option, (hint, default, _) in options.items()
            },
            self,
        )

    def has(self, name: str) -> str:
        """Say which options an alternative has."""
        options = self.options(name)
        return f"{name} has {', '.join(options)}" if options else f"{name} has no options"

    @property
    def _folder(self) -> Path:
        return _PACKAGE.joinpath(*self.package.split("."))


@dataclasses.dataclass(frozen=True)
class Choice:
    """An alternative and its options; ``Alternatives.choose`` makes it."""

    type: str
    options: Mapping[str, Any]
    alternatives: Alternatives = dataclasses.field(repr=False)

    def __getitem__(self, option: str) -> Any:
        return self.options[option]

    def plain(self) -> dict[str, Any]:
        """Return the mapping that a config file has for it."""
        return {"type": self.type, **self.options}

    def build(self, **given: Any) -> Any:
        """Make an object of the alternative's class; ``None`` where none is chosen.

        Args:
            given: the fields that are no options; those that the class does not have are left out.

        Raises:
            UsageError: the class refuses a value.
        """
        try:
            return self.check(**given)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def check(self, **given: Any) -> Any:
        """Build as ``build`` does, but what the class refuses stays a ``ValueError``."""
        if self.type == NONE and self.alternatives.optional:
            return None
        module = importlib.import_module(f"jaxnext.{self.alternatives.package}.{self.type}")
        kind = getattr(module, self.alternatives.kind)
        own = {field.name for field in dataclasses.fields(kind)}
        return kind(**self.options, **{name: value for name, value in given.items() if name in own})


@functools.cache
def _read(file: Path, kind: str, given: tuple[str, ...]) -> Mapping[str, Option]:
    """Read the options of a file: annotated fields with a literal for a default and a docstring below.

    Those of a class of the package that it extends, and imports from its file, come after its own.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind)
    options: dict[str, Option] = {}
    for node, after in zip(found.body, [*found.body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)) or node.target.id in given:
            continue
        if node.value is None:
            raise ValueError(f"{file}, {node.target.id}: expected a default, found none")
        hint = eval(compile(ast.Expression(node.annotation), str(file), "eval"), {"Literal": Literal})
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = " ".join(str(after.value.value).split())
        options[node.target.id] = Option(hint, ast.literal_eval(node.value), text)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxnext."):
            shared = _PACKAGE.joinpath(*(node.module or "").split(".")[1:]).with_suffix(".py")
            extended = {base.id for base in found.bases if isinstance(base, ast.Name)}
            for base in sorted(extended & {alias.name for alias in node.names}):
                options |= {name: option for name, option in _read(shared, base, given).items() if name not in options}
    return types.MappingProxyType(options)
