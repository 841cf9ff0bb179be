import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jaxnext
from jaxnext.config import choice
from jaxnext.config.choice import Alternatives, Choice, Option
from jaxnext.config.sections import (
    ATTENTIONS,
    AUGMENTATIONS,
    BLOCK_ATTENTIONS,
    HEADS,
    LOGGERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    SOURCES,
)
from jaxnext.errors import UsageError
from jaxnext.inference.tta import TTA

FOLDERS = (SOURCES, AUGMENTATIONS, BLOCK_ATTENTIONS, ATTENTIONS, HEADS, LOSSES, OPTIMIZERS, SCHEDULES, LOGGERS, TTA)
EVERY = [(folder, name) for folder in FOLDERS for name in folder.names() if name != "none"]

SHAPE = '''
import dataclasses
import re
from typing import Literal

from jaxnext.config.values import require

@dataclasses.dataclass(frozen=True)
class Shape:
    """A shape."""

    sides: int = 4
    """how many
    sides"""
    kind: Literal["round", "sharp"] = "sharp"
    given: int = 0
    sizes: tuple[int, ...] = (1, 2)
    """of the sides"""

    def __post_init__(self) -> None:
        require(self.sides > 2, "shape.sides", "at least 3", self.sides)
'''


EXTENDED = '''
import dataclasses
from jaxnext.jaxnext_shared import Painted

@dataclasses.dataclass(frozen=True)
class Shape(Painted):
    """A shape with the options of all shapes."""

    radius: float = 1.0
    """of the circle"""
    colours: dict[str, float] | None = None
    """here of its own"""
'''
SHARED = '''
import dataclasses

@dataclasses.dataclass(frozen=True, kw_only=True)
class Painted:
    """What all shapes have."""

    colours: dict[str, float] | None = None
    """shares of each colour"""
    thick: bool = True
    """whether lines are"""
'''


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alternatives]:
    """A folder of alternatives beside the package's own."""
    folder = tmp_path / "jaxnext_shapes"
    folder.mkdir()
    (folder / "square.py").write_text(SHAPE)
    (folder / "_helper.py").write_text("")
    monkeypatch.setattr(choice, "_PACKAGE", tmp_path)
    monkeypatch.setattr(jaxnext, "__path__", [*jaxnext.__path__, str(tmp_path)])
    yield Alternatives("shape", "jaxnext_shapes", "Shape", ("given",), optional=True)
    for name in [name for name in sys.modules if name.startswith("jaxnext.jaxnext_shapes")]:
        del sys.modules[name]


def test_names_are_the_files(shapes: Alternatives) -> None:
    assert shapes.names() == ("none", "square")


def test_options_are_read_without_importing(shapes: Alternatives) -> None:
    options = shapes.options("square")
    assert list(options) == ["sides", "kind", "sizes"]
    assert options["sides"] == Option(int, 4, "how many sides")
    assert options["sizes"] == Option(tuple[int, ...], (1, 2), "of the sides")
    assert options["kind"].text == ""
    assert not [name for name in sys.modules if "jaxnext_shapes" in name]


def test_options_of_a_class_that_is_extended_come_after_its_own(
    shapes: Alternatives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jaxnext_shapes" / "circle.py").write_text(EXTENDED)
    (tmp_path / "jaxnext_shared.py").write_text(SHARED)
    assert shapes.options("circle") == {
        "radius": Option(float, 1.0, "of the circle"),
        "colours": Option(dict[str, float] | None, None, "here of its own"),
        "thick": Option(bool, True, "whether lines are"),
    }
    assert list(shapes.options("circle")) == ["radius", "colours", "thick"]
    assert not [name for name in sys.modules if "jaxnext_sha" in name]
    built = shapes.choose("circle", thick=False, colours={"red": 1}).build()
    assert (built.radius, built.colours, built.thick) == (1.0, {"red": 1.0}, False)
    monkeypatch.delitem(sys.modules, "jaxnext.jaxnext_shared")


def test_a_choice_has_every_option_and_builds_the_class(shapes: Alternatives) -> None:
    chosen = shapes.choose("square", sides=5)
    assert chosen == Choice("square", {"sides": 5, "kind": "sharp", "sizes": (1, 2)}, shapes)
    assert chosen["sides"] == 5
    assert chosen.plain() == {"type": "square", "sides": 5, "kind": "sharp", "sizes": (1, 2)}
    built = chosen.build(given=7, unknown=8)
    assert (built.sides, built.given) == (5, 7)
    assert shapes.choose("none").build() is None


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("squar", {}, "shape: expected one of none, square, found 'squar'; did you mean square?"),
        ("square", {"side": 3}, "unknown key shape.side: square has sides, kind, sizes"),
        ("square", {"given": 3}, "unknown key shape.given: square has sides, kind, sizes"),
        ("none", {"sides": 3}, "unknown key shape.sides: none has no options"),
        ("square", {"sides": 1.5}, "shape.sides: expected a whole number, found 1.5"),
        ("square", {"kind": "soft"}, "shape.kind: expected one of round, sharp, found 'soft'"),
    ],
)
def test_what_cannot_be_chosen(shapes: Alternatives, name: str, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        shapes.choose(name, **values)


def test_a_value_that_the_class_refuses_is_the_users(shapes: Alternatives) -> None:
    with pytest.raises(UsageError, match=r"^shape\.sides: expected at least 3, found 2$"):
        shapes.choose("square", sides=2).build()
    with pytest.raises(ValueError, match=r"^shape\.sides: expected at least 3, found 2$"):
        shapes.choose("square", sides=2).check()


@pytest.mark.parametrize(("folder", "name"), EVERY, ids=[f"{folder.key}={name}" for folder, name in EVERY])
def test_every_file_of_every_folder(folder: Alternatives, name: str) -> None:
    built = folder.choose(name).build(classes=3)
    own = {field.name: getattr(built, field.name) for field in dataclasses.fields(built)}
    for option, (_, default, text) in folder.options(name).items():
        assert own[option] == default
        assert text, f"{name}.{option} has no docstring"


def test_configs_and_light_choices_import_no_framework() -> None:
    code = (
        "import sys\nfrom jaxnext.config.sections import Config\nConfig()\n"
        "from jaxnext.inference.tta import TTA\n[TTA.choose(name).build() for name in TTA.names()]\n"
        "assert not {'jax', 'flax', 'optax', 'tensorflow_datasets', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
