"""The package as others use it: imported into their process, and installed from its wheel."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxnext

ROOT = Path(__file__).resolve().parent.parent

IMPORTS = """
import json, logging, os, pkgutil, signal, sys, warnings
import jaxnext
print(json.dumps(sorted({"jax", "numpy", "jsonargparse", "absl", "PIL"} & set(sys.modules))))

# Other people's packages have effects of their own; they come first.
import flax.linen, grain, jax, jsonargparse, matplotlib.figure, optax, orbax.checkpoint, PIL.Image, sklearn, tqdm
import tensorflow_datasets
from absl import flags

def process():
    return {
        "levels": {name: logging.getLogger(name).level for name in ("", "absl", "jax", "orbax", "matplotlib")},
        "handlers": {name: len(logging.getLogger(name).handlers) for name in ("", "absl", "jax")},
        "warnings": [str(entry) for entry in warnings.filters],
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "environment": dict(os.environ),
        "jax": {name: repr(value) for name, value in jax.config.values.items()},
        "flags": flags.FLAGS.is_parsed(),
        "path": sys.path[:],
        "loaders": sorted(jsonargparse._loaders_dumpers.loaders),
        "errors": sys.stdout.errors,
    }

before = process()
for module in pkgutil.walk_packages(jaxnext.__path__, "jaxnext."):
    __import__(module.name)
after = process()
print(json.dumps({key: [before[key], after[key]] for key in before if before[key] != after[key]}))
"""


@pytest.mark.slow
def test_importing_it_changes_nothing_in_the_process() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    found = subprocess.run([sys.executable, "-c", IMPORTS], env=environment, capture_output=True, text=True, check=True)
    slow, changed = map(json.loads, found.stdout.splitlines())
    assert slow == []
    assert changed == {}


def test_what_is_offered() -> None:
    assert jaxnext.__all__ == ["__version__", "load", "load_flax", "train"]
    assert (Path(jaxnext.__file__).parent / "py.typed").is_file()


@pytest.mark.slow
def test_the_wheel_works_outside_its_tree(tmp_path: Path) -> None:
    source, wheels, site = (tmp_path / name for name in ("source", "wheels", "site"))
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("jaxnext", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True, timeout=200)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, timeout=200)
    shutil.rmtree(source)
    environment = os.environ | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)}
    place = tmp_path / "elsewhere"
    place.mkdir()

    def run(*arguments: str) -> str:
        command = [sys.executable, str(site / "bin" / "jaxnext"), *arguments]
        found = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
        assert found.returncode == 0, found.stderr
        return found.stdout

    # Continuous integration trains and predicts with it.
    assert run("--version") == f"jaxnext {jaxnext.__version__}\n"
    assert "stage_sizes: [1, 1, 1, 1]" in run("train", "--config", "quickstart", "--print_config")
    kept = {path.relative_to(ROOT).as_posix() for path in (ROOT / "jaxnext").rglob("*") if path.is_file()}
    kept = {name for name in kept if "__pycache__" not in name and not name.endswith(".md")}
    assert {path.relative_to(site).as_posix() for path in (site / "jaxnext").rglob("*") if path.is_file()} >= kept
