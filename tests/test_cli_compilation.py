import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from jaxnext.cli import compilation as cli_compilation
from jaxnext.cli.compilation import compilation_cache, shrink
from jaxnext.engine.parallel import compiled_without
from jaxnext.ops.cpu import onednn

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)


def settings() -> list[Any]:
    return [getattr(jax.config, name) for name in SETTINGS]


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder, and JAX as it is at the start of a command; afterwards as it was before."""
    before = {name: getattr(jax.config, name) for name in (*SETTINGS, "jax_compilation_cache_max_size")}
    compiled_without(jax.local_devices()[0], "float32")  # its trials, done once in a process, are programs as well
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_compilation_cache_max_size", -1)
    reset_cache()
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.fixture
def keep_all(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CompiledSteps are kept however quickly they compile; the folder of this cache."""
    monkeypatch.setattr(cli_compilation, "WORTH_KEEPING", 0.0)
    return cache_home / "jaxnext" / "compiled"


def no_warning(line: str) -> None:
    raise AssertionError(line)


def triple(warn: Callable[[str], None] = no_warning, given: Path | None = None, **options: Any) -> tuple[float, int]:
    """The result of a program that a new start compiles or finds, and how many it has found."""

    def triple(x: jax.Array) -> jax.Array:
        return jnp.sin(x) * 3

    jax.config.update("jax_compilation_cache_dir", given and str(given))
    reset_cache()
    x = jnp.float32(0.5)
    with compilation_cache(True, "float32", warn, **options) as cache:
        assert cache is not None
        before = cache.found()
        result = jax.jit(triple).lower(x).compile()(x)
        return float(result), cache.found() - before


def test_the_second_start_finds_what_the_first_compiled(keep_all: Path) -> None:
    first, found = triple()
    assert found == 0
    kept = [file.name for file in keep_all.iterdir()]
    assert len(kept) == 1
    assert kept[0].startswith("jit_triple-")
    assert keep_all.stat().st_mode & 0o777 == 0o700
    assert triple() == (first, 1)


def test_a_folder_given_to_jax_is_used_after_the_trial_of_onednn(tmp_path: Path) -> None:
    code = (
        "import jax\n"
        "from jaxnext.cli.compilation import compilation_cache\n"
        "from jaxnext.ops.cpu import onednn\n"
        "onednn.is_available()\n"
        "with compilation_cache(None, 'float32', print) as cache:\n"
        "    jax.jit(lambda x: jax.numpy.sin(x) * 3).lower(0.5).compile()\n"
        "    print(cache.found() > 0)\n"
    )
    given = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = os.environ | given | {"JAX_PLATFORMS": "cpu"}
    said = []
    for _ in range(2):
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        said.append(found.stdout)
    assert said == ["False\n", "True\n"]


def test_settings_and_place(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cache_home.parent))
    with compilation_cache(True, "float32", no_warning) as cache:
        assert cache is not None
        assert cache.place == f"~/{cache_home.name}/jaxnext/compiled"
        inside = settings()
    assert inside == [True, str(cache_home / "jaxnext" / "compiled"), 0.5]


class Stopped(Exception):
    """Ends a block."""


@pytest.mark.parametrize("wanted", [True, False, None])
@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_lasts_beyond_the_block(
    wanted: bool | None, stopped: bool, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "is_available", lambda: True)
    before, everything = settings(), dict(jax.config.values)
    with contextlib.suppress(Stopped), compilation_cache(wanted, "float32", no_warning, use_onednn=wanted is None):
        assert settings() != before
        assert (onednn.why_unavailable("float32") is None) is (wanted is None)
        if stopped:
            raise Stopped
    assert settings() == before
    assert dict(jax.config.values) == everything
    assert onednn.why_unavailable("float32") is None


def test_without_onednn_programs_are_kept_by_default(keep_all: Path) -> None:
    with compilation_cache(None, "float32", no_warning, use_onednn=False) as cache:
        assert cache is not None
        assert cache.not_kept is None
        assert onednn.why_unavailable("float32") == "--onednn false"


def test_switched_off(keep_all: Path) -> None:
    with compilation_cache(False, "float32", no_warning) as cache:
        assert cache is None
        jax.jit(lambda x: x + 3)(1.0)
    assert not keep_all.exists()


@pytest.mark.parametrize("wanted", [True, False])
def test_a_folder_given_to_jax_is_used_as_it_is_set_up(wanted: bool, cache_home: Path) -> None:
    given = cache_home / "given"
    jax.config.update("jax_compilation_cache_dir", str(given))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 7.0)
    with compilation_cache(wanted, "float32", no_warning) as cache:
        assert (cache.place if cache else None) == (str(given) if wanted else None)
        assert settings() == [wanted, str(given), 7.0]
    assert not (cache_home / "jaxnext").exists()


@pytest.mark.parametrize(
    ("precision", "works", "given", "small", "on"),
    [
        ("float32", True, False, False, False),
        ("float32", True, False, True, True),
        ("float32", True, True, False, True),
        ("float32", False, False, False, True),
        ("bfloat16", True, False, False, True),
        ("float64", True, False, False, True),
    ],
)
def test_by_default_it_is_off_where_onednn_is_called(
    precision: str,
    works: bool,
    given: bool,
    small: bool,
    on: bool,
    cache_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onednn, "is_available", lambda: works)
    if given:
        jax.config.update("jax_compilation_cache_dir", str(cache_home / "given"))
    with compilation_cache(None, precision, no_warning, small=small) as cache:
        assert cache is not None
        assert (cache.not_kept is None, jax.config.jax_enable_compilation_cache) == (on, on)


def test_a_cache_that_jax_was_told_not_to_use(cache_home: Path) -> None:
    jax.config.update("jax_enable_compilation_cache", False)
    with compilation_cache(True, "float32", no_warning) as cache:
        assert cache is None
    assert not (cache_home / "jaxnext").exists()


def test_a_folder_that_cannot_be_made_is_said_and_the_command_goes_on(cache_home: Path) -> None:
    (cache_home / "jaxnext").write_text("a file in the way")
    lines: list[str] = []
    with compilation_cache(True, "float32", lines.append) as cache:
        assert cache is None
        assert float(jax.jit(lambda x: x + 4)(1.0)) == 5
    assert lines == [
        f"{cache_home / 'jaxnext' / 'compiled'}: compiled programs cannot be kept there for the next start "
        "(Not a directory); --compilation_cache false does not try"
    ]


def test_an_unknown_home_is_said(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", unknown)
    lines: list[str] = []
    with compilation_cache(True, "float32", lines.append) as cache:
        assert cache is None
    assert lines[0].startswith(
        "the cache folder: compiled programs cannot be kept there for the next start (the user's home"
    )


def test_a_damaged_program_is_compiled_again(keep_all: Path) -> None:
    first, _ = triple()
    (file,) = keep_all.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry for 'jit_triple'"):
        assert triple() == (first, 0)


def test_programs_that_take_long_are_said(keep_all: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick: list[str] = []
    triple(each=quick.append)
    assert quick == []
    monkeypatch.setattr(cli_compilation, "WORTH_SAYING", 0.0)
    lines: list[str] = []
    triple(each=lines.append)
    without = "without oneDNN: the compilation cache is in use, which cannot keep programs that call it"
    assert re.fullmatch(rf"triple: found in the compilation cache in \d\.\d s; {without}", lines[0])
    (file,) = keep_all.iterdir()
    file.unlink()
    triple(each=lines.append, use_onednn=False)
    assert re.fullmatch(r"triple: compiled in \d\.\d s; without oneDNN: --onednn false", lines[1])


def test_shrink_deletes_what_was_used_longest_ago(tmp_path: Path) -> None:
    for name, used in (("b-cache", 30), ("a-cache", 10), ("c-cache", 20), ("other", 0)):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (used, 5))
    shrink(tmp_path, 300)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a-cache", "b-cache", "c-cache", "other"]
    shrink(tmp_path, 299)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b-cache", "c-cache", "other"]
    shrink(tmp_path, 100)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b-cache", "other"]


def test_a_start_shrinks_the_folder(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_home / "jaxnext" / "compiled"
    folder.mkdir(parents=True)
    (folder / "jit_old-cache").write_bytes(bytes(11))
    monkeypatch.setattr(cli_compilation, "MOST_BYTES", 10)
    with compilation_cache(True, "float32", no_warning):
        pass
    assert list(folder.iterdir()) == []
