"""The architecture, read off the source: who imports whom, who reads the process, which test goes with which file."""

import ast
import functools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jaxnext"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("compat", "errors", "types", "version"),
    ("atomic", "file_digests", "folder_lock", "text_lines", "tree"),
    ("config",),
    ("ops",),
    ("augment", "losses", "mix", "normalization"),
    ("metrics",),
    ("porting", "models", "data"),
    ("engine",),
    ("reporting",),
    ("weights",),
    ("inference", "training"),
    ("cli",),
    ("",),
)
"""From the lowest up, without ``jaxnext.``; the longest name that fits decides. The empty one is the package."""

HOST_FOLDERS = ("data", "porting")
HOST_MUST_NOT_IMPORT = ("jax", "jaxlib", "flax", "optax", "orbax")
STANDS_ALONE = "ops"
"""The folder that others may copy into their projects: it imports itself, relatively, and these."""
MAY_IMPORT = (*sys.stdlib_module_names, "jax", "numpy")
NOBODY_IMPORTS = ("torch", "torchvision")
READS_THE_PROCESS = "cli"
"""The folder whose files read flags, environment, clock and the rest of the process."""
PROCESS_MODULES = ("time", "random", "secrets", "argparse", "absl", "datetime")
EXCUSED = (("data.loader", "absl"),)
"""Grain insists that its command-line flags are parsed; the loader marks them so and reads none."""
PROCESS_NAMES = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.urandom", "sys.argv")
SEEDED = ("Generator", "PCG64", "Philox", "SeedSequence", "BitGenerator")


def read_package(package: Path) -> dict[str, ast.Module]:
    """Dotted name below the package, "" for the package itself, and syntax tree of each module."""
    modules = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(file.read_text(), str(file))
    return modules


@functools.cache
def package() -> dict[str, ast.Module]:
    """The modules of jaxnext."""
    return read_package(PACKAGE)


def imports(name: str, modules: Mapping[str, ast.Module]) -> Iterator[tuple[str, int]]:
    """Full dotted name of everything that a module imports, anywhere in it, with the line."""
    is_folder = any(other.startswith(f"{name}.") for other in modules) or name == ""
    own = ["jaxnext", *name.split(".")] if name else ["jaxnext"]
    for node in ast.walk(modules[name]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = own[: len(own) - node.level + is_folder] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner.removeprefix("jaxnext.") in modules else base), node.lineno


def own_module(imported: str) -> str | None:
    """The name below the package of an import of the package's own, None for those of others."""
    if imported == "jaxnext":
        return ""
    return imported.removeprefix("jaxnext.") if imported.startswith("jaxnext.") else None


def layer(name: str) -> int | None:
    """Index in FLOORS; None for a module that the table does not place."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for index, row in enumerate(FLOORS):
            if ".".join(parts[:length]) in row:
                return index
    return None


def folder(name: str, modules: Mapping[str, ast.Module]) -> str:
    """First folder below the package; "" for the files beside its ``__init__``."""
    first, dot, _ = name.partition(".")
    return first if dot or any(other.startswith(f"{name}.") for other in modules) else ""


def layer_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """Imports that do not go down, and modules without a place."""
    faults = [f"jaxnext.{name}: FLOORS has no place for it" for name in modules if layer(name) is None]
    for name in modules:
        for imported, line in imports(name, modules):
            target = own_module(imported)
            if target is None:
                continue
            here, there = layer(name), layer(target)
            if (
                here is None
                or there is None
                or there < here
                or (there == here and folder(name, modules) == folder(target, modules))
            ):
                continue
            faults.append(f"jaxnext.{name}, line {line}: imports {imported}, which is not in a lower layer")
    return faults


def framework_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """torch anywhere; jax in the host folders, also through a module of the package that they import."""
    faults, found = [], {name: list(imports(name, modules)) for name in modules}
    for name in modules:
        for imported, line in found[name]:
            if imported.partition(".")[0] in NOBODY_IMPORTS:
                faults.append(f"jaxnext.{name}, line {line}: imports {imported}")
        if name.partition(".")[0] in HOST_FOLDERS:
            faults += [f"jaxnext.{name}: imports {path}" for path in paths_to_frameworks(name, found)]
    return faults


def benchmark_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """Imports of what is measured with, which is not there after an installation."""
    return [
        f"jaxnext.{name}, line {line}: imports {imported}"
        for name in modules
        for imported, line in imports(name, modules)
        if imported.partition(".")[0] in ("benchmarks", "scripts")
    ]


def alone_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """What a copy of the folder that stands alone would not find under another name."""
    faults = []
    for name in modules:
        if name.partition(".")[0] != STANDS_ALONE:
            continue
        for imported, line in imports(name, modules):
            target = own_module(imported)
            known = imported.partition(".")[0] in MAY_IMPORT if target is None else target.startswith(STANDS_ALONE)
            if not known:
                faults.append(f"jaxnext.{name}, line {line}: imports {imported}")
        for node in ast.walk(modules[name]):
            absolute = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                absolute = [node.module or ""]
            faults += [
                f"jaxnext.{name}, line {getattr(node, 'lineno', 0)}: expected a relative import, found {module}"
                for module in absolute
                if own_module(module) is not None
            ]
    return faults


def paths_to_frameworks(name: str, found: Mapping[str, list[tuple[str, int]]]) -> list[str]:
    """One of the shortest ways to each import of a framework, through modules that are seen once each."""
    paths, seen, ways = [], {name}, [(name, "")]
    for here, way in ways:
        for imported, _ in found[here]:
            target = own_module(imported)
            if imported.partition(".")[0] in HOST_MUST_NOT_IMPORT:
                paths.append(way + imported)
            elif target is not None and target in found and target not in seen:
                seen.add(target)
                ways.append((target, f"{way}{imported} -> "))
    return paths


def process_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """Environment, command line, clock and global random state, read outside the command line's own files."""
    faults = []
    for name in modules:
        if name.partition(".")[0] == READS_THE_PROCESS:
            continue
        for imported, line in imports(name, modules):
            root = imported.partition(".")[0]
            if root in PROCESS_MODULES and (name, root) not in EXCUSED:
                faults.append(f"jaxnext.{name}, line {line}: imports {imported}")
        for node in ast.walk(modules[name]):
            faults += [f"jaxnext.{name}, line {line}: reads {what}" for what, line in process_reads(node)]
    return faults


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of names and attributes; what they are attributes of is left out where it is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def process_reads(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            if f"{node.module}.{alias.name}" in PROCESS_NAMES or node.module == "numpy.random":
                yield f"{node.module}.{alias.name}", node.lineno
    if isinstance(node, ast.Call) and dotted(node.func).endswith("random.default_rng") and not node.args:
        yield "default_rng without a seed", node.lineno
    if isinstance(node, ast.Attribute):
        text = dotted(node)
        prefix, _, last = text.rpartition(".")
        if text in PROCESS_NAMES or (prefix in ("np.random", "numpy.random") and last not in (*SEEDED, "default_rng")):
            yield text, node.lineno


def missing_tests(modules: Mapping[str, ast.Module], tests: Path) -> list[str]:
    """Modules without a test file; one that defines no function and no class needs none.

    ``models/norm.py`` goes with ``test_norm.py`` or ``test_models_norm.py``; where two modules share a last name, only
    the long form counts.
    """
    folders = {name.rpartition(".")[0] for name in modules}
    code = (ast.FunctionDef, ast.ClassDef)
    files = [name for name in modules if name not in folders and any(isinstance(n, code) for n in modules[name].body)]
    lasts = [name.rpartition(".")[2] for name in files]
    missing = []
    for name, last in zip(files, lasts, strict=True):
        accepted = [f"test_{name.replace('.', '_')}.py"] + [f"test_{last}.py"] * (lasts.count(last) == 1)
        if not any((tests / file).is_file() for file in accepted):
            missing.append(f"jaxnext.{name}: expected {' or '.join(dict.fromkeys(reversed(accepted)))}")
    return missing


def test_imports_go_down() -> None:
    assert layer_faults(package()) == []


def test_frameworks() -> None:
    assert framework_faults(package()) == []


def test_ops_stand_alone() -> None:
    assert alone_faults(package()) == []


USE = """
import sys, jax, numpy as np
from convolutions.elsewhere.grouped_conv import choose, grouped_conv
from convolutions.elsewhere.pointwise import pointwise_conv
from convolutions.elsewhere.pooling import max_pool

def loss(x, kernel):
    y = grouped_conv(x, kernel, stride=2, padding=((1, 1), (1, 1)), groups=2)
    return pointwise_conv(max_pool(y), np.ones((4, 2), np.float32)).sum()

x, kernel = np.ones((1, 4, 4, 4), np.float32), np.ones((3, 3, 2, 4), np.float32)
value, gradients = jax.value_and_grad(loss, (0, 1))(x, kernel)
# Of the four windows the last lies wholly on the input: 9 places of 2 channels, summed over 4 features, twice.
assert value == 9 * 2 * 4 * 2, value
assert gradients[1].ravel().tolist() == [2.0] * 72
others = {"jaxnext", "flax", "optax", "torch"} & {name.partition(".")[0] for name in sys.modules}
assert not others, others
"""


@pytest.mark.slow
def test_a_copy_of_ops_works_under_another_name(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE / "ops", tmp_path / "convolutions" / "elsewhere")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", USE]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_the_process_is_read_by_the_command_line_only() -> None:
    assert process_faults(package()) == []


def test_every_module_has_its_test_file() -> None:
    assert missing_tests(package(), ROOT / "tests") == []


def test_scripts_are_short() -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / "scripts").glob("*.py")}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_benchmarks_are_not_installed_and_nobody_needs_them() -> None:
    assert "scripts" not in (ROOT / "setup.py").read_text()
    assert "scripts" not in str(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"])
    assert benchmark_faults(package()) == []


# The checks themselves, on a package that breaks each rule.


def package_of(files: Mapping[str, str], place: Path) -> dict[str, ast.Module]:
    for name, text in files.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        (file.parent / "__init__.py").touch()
    return read_package(place)


def test_an_import_that_goes_up_is_found(tmp_path: Path) -> None:
    files = {
        "config/sections.py": "",
        "losses.py": "from jaxnext.config import sections",
        "metrics.py": "import jaxnext.losses\nfrom . import cli",
        "cli/main.py": "def late():\n    from jaxnext.training.fit import fit",
        "ops/pooling.py": "from jaxnext.config import Config\nfrom ..models.norm import BatchNorm",
        "models/norm.py": "from jaxnext.ops.pooling import max_pool\nfrom jaxnext.data import decode",
        "data/decode.py": "def late():\n    import jaxnext.engine.steps",
        "engine/steps.py": "from jaxnext.training import fit",
        "training/fit.py": "from jaxnext.engine.steps import train_step\nimport jaxnext",
        "inference/predict.py": "from jaxnext.training import fit",
        "drawer.py": "",
    }
    assert layer_faults(package_of(files, tmp_path)) == [
        "jaxnext.drawer: FLOORS has no place for it",
        "jaxnext.data.decode, line 2: imports jaxnext.engine.steps, which is not in a lower layer",
        "jaxnext.engine.steps, line 1: imports jaxnext.training.fit, which is not in a lower layer",
        "jaxnext.inference.predict, line 1: imports jaxnext.training.fit, which is not in a lower layer",
        "jaxnext.metrics, line 2: imports jaxnext.cli, which is not in a lower layer",
        "jaxnext.models.norm, line 2: imports jaxnext.data.decode, which is not in a lower layer",
        "jaxnext.ops.pooling, line 2: imports jaxnext.models.norm, which is not in a lower layer",
        "jaxnext.training.fit, line 2: imports jaxnext, which is not in a lower layer",
    ]


def test_a_framework_in_the_wrong_place_is_found(tmp_path: Path) -> None:
    files = {
        "tree.py": "import jax.numpy as jnp",
        "types.py": "import numpy as np",
        "data/decode.py": "from jaxnext.types import UInt8Image\nfrom jaxnext.tree import flatten",
        "porting/merge.py": "def late():\n    import flax.linen",
        "models/norm.py": "import jax\nfrom torch import nn",
        "models/layers.py": "def late():\n    import torch",
    }
    assert framework_faults(package_of(files, tmp_path)) == [
        "jaxnext.data.decode: imports jaxnext.tree -> jax.numpy",
        "jaxnext.models.layers, line 2: imports torch",
        "jaxnext.models.norm, line 2: imports torch",
        "jaxnext.porting.merge: imports flax.linen",
    ]


def test_a_benchmark_in_the_package_is_found(tmp_path: Path) -> None:
    files = {"cli/train.py": "def late():\n    from benchmarks import model", "losses.py": "import scripts.benchmark"}
    assert benchmark_faults(package_of(files, tmp_path)) == [
        "jaxnext.cli.train, line 2: imports benchmarks",
        "jaxnext.losses, line 1: imports scripts.benchmark",
    ]


def test_ops_that_need_the_rest_are_found(tmp_path: Path) -> None:
    files = {
        "config.py": "",
        "ops/onednn.py": "import json\nimport jax.numpy as jnp\nfrom jax import lax\nimport flax.linen",
        "ops/pooling.py": "from . import onednn\nfrom .onednn import x\nfrom ..config import Config",
        "ops/conv.py": "from jaxnext.ops.onednn import x\ndef late():\n    import jaxnext.config",
    }
    assert alone_faults(package_of(files, tmp_path)) == [
        "jaxnext.ops.conv, line 3: imports jaxnext.config",
        "jaxnext.ops.conv, line 1: expected a relative import, found jaxnext.ops.onednn",
        "jaxnext.ops.conv, line 3: expected a relative import, found jaxnext.config",
        "jaxnext.ops.onednn, line 4: imports flax.linen",
        "jaxnext.ops.pooling, line 3: imports jaxnext.config",
    ]


def test_reading_the_process_is_found(tmp_path: Path) -> None:
    files = {
        "cli/process.py": "import time, os\nos.environ['A']",
        "augment.py": "from jax import random\nimport numpy as np\nnp.random.default_rng(3)\nnp.random.rand()",
        "losses.py": "import random\nimport numpy as np\nnp.random.default_rng()",
        "data/loader.py": "import os\nos.cpu_count()\nos.environ.get('A')\nfrom os import getenv",
        "training/fit.py": "from time import perf_counter\nimport sys\nsys.argv[1:]\nfrom numpy.random import rand",
    }
    assert process_faults(package_of(files, tmp_path)) == [
        "jaxnext.augment, line 4: reads np.random.rand",
        "jaxnext.data.loader, line 4: reads os.getenv",
        "jaxnext.data.loader, line 3: reads os.environ",
        "jaxnext.losses, line 1: imports random",
        "jaxnext.losses, line 3: reads default_rng without a seed",
        "jaxnext.training.fit, line 1: imports time",
        "jaxnext.training.fit, line 4: reads numpy.random.rand",
        "jaxnext.training.fit, line 3: reads sys.argv",
    ]


def test_a_missing_test_file_is_found(tmp_path: Path) -> None:
    names = ("config.py", "losses.py", "data/build.py", "models/build.py", "models/norm.py")
    modules = package_of(
        dict.fromkeys(names, "def function():\n    pass") | {"types.py": "Names = list[str]"},
        tmp_path / "package",
    )
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("test_config.py", "test_build.py", "test_data_build.py", "test_norm.py"):
        (tests / name).touch()
    assert missing_tests(modules, tests) == [
        "jaxnext.losses: expected test_losses.py",
        "jaxnext.models.build: expected test_models_build.py",
    ]
