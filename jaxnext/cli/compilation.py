"""The compilation cache of a command: JAX's own in the user's cache folder, and what became of it said in one line."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from jaxnext import compat
from jaxnext.cli.user_folders import cache_folder
from jaxnext.engine.parallel import compiled_without
from jaxnext.ops.cpu import onednn
from jaxnext.training.environment import CompilationCache

MOST_BYTES = 2 * 2**30
"""What the programs in the folder may take when a command starts."""

WORTH_KEEPING = 0.5
"""Seconds of compilation from which a program is kept."""

WORTH_SAYING = 1.0
"""Seconds from which a program is said by itself."""

WITH_ONEDNN = "not kept: convolutions by oneDNN cannot be (--compilation_cache true keeps programs, and is slower)"


@contextlib.contextmanager
def compilation_cache(
    wanted: bool | None,
    precision: str,
    warn: Callable[[str], None],
    each: Callable[[str], None] | None = None,
    *,
    small: bool = False,
    use_onednn: bool = True,
) -> Iterator[CompilationCache | None]:
    """Keep what JAX compiles within it, and find what earlier commands have compiled; all settings end with it.

    The folder is ``compiled`` in the cache folder. One that the user has given to JAX (``JAX_COMPILATION_CACHE_DIR``)
    is used as JAX was told to. Where ours cannot be written, one sentence says so. Of a program in it that is damaged
    JAX warns, and compiles it.

    Args:
        wanted: false switches the cache off; ``None``: on, unless convolutions will be computed by oneDNN, whose calls
            cannot be kept, and which compile in half the time. A folder given to JAX is always used.
        precision: that the programs will compute in.
        warn: shows a line about what went wrong.
        each: shows a line for each program that takes a second or more to compile or to find; ``None``: none is shown.
        small: the programs are small: oneDNN would be faster by a tenth, which is less than a later start gains by
            finding them. By default they do without it.
        use_onednn: false does without oneDNN.

    Yields:
        the cache, or why by default there is none; ``None`` where it is switched off or cannot be written.
    """
    settings: Any = jax.config
    enabled, given = settings.jax_enable_compilation_cache, settings.jax_compilation_cache_dir
    by_default = wanted is None and enabled and not given
    with contextlib.ExitStack() as stack:
        if not use_onednn:
            stack.enter_context(onednn.disabled("--onednn false"))
        calls_onednn = not small and jax.default_backend() == "cpu" and onednn.why_unavailable(precision) is None
        not_kept = WITH_ONEDNN if by_default and calls_onednn else None
        place = given
        if wanted is False or not_kept or not enabled:
            place = None
            stack.enter_context(_set(jax_enable_compilation_cache=False))
        elif not given:
            place = _own_folder(warn)
            own = {"jax_compilation_cache_dir": place, "jax_persistent_cache_min_compile_time_secs": WORTH_KEEPING}
            stack.enter_context(_set(**own if place else {}))
        counted = stack.enter_context(_listening(each, precision))
        kept = place is not None or not_kept is not None
        yield CompilationCache(_short(place or ""), counted, not_kept) if kept else None


def shrink(folder: Path, most: int) -> None:
    """Delete the programs that were used longest ago, until the others take at most so many bytes.

    JAX's own limit, ``jax_compilation_cache_max_size``, needs another package, and after a command that was killed
    between the two files that it then has for a program, nothing can be written any more.

    Args:
        folder: of the programs.
        most: bytes.
    """
    programs = []
    for file in folder.glob("*-cache"):
        # Another command may have deleted it meanwhile.
        with contextlib.suppress(OSError):
            status = file.stat()
            programs.append((max(status.st_atime, status.st_mtime), file, status.st_size))
    total = sum(size for _, _, size in programs)
    for _, file, size in sorted(programs):
        if total <= most:
            break
        with contextlib.suppress(OSError):
            file.unlink()
            total -= size


@contextlib.contextmanager
def _set(**values: Any) -> Iterator[None]:
    """Within it JAX's settings are these; afterwards what they were before."""
    before = {name: getattr(jax.config, name) for name in values}
    try:
        for name, value in values.items():
            jax.config.update(name, value)
        reset_cache()  # JAX looks at them at the first compilation only, unless it is told to forget what it saw
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        reset_cache()


@contextlib.contextmanager
def _listening(each: Callable[[str], None] | None, precision: str) -> Iterator[Callable[[], int]]:
    """Within it programs that take long are said; yields how many were found so far."""
    found = found_before = 0
    # Said once, with the first program.
    without = [f"; {part}" for part in compiled_without(jax.local_devices()[0], precision)]

    def count(event: str, **details: Any) -> None:
        nonlocal found
        found += event == compat.EVENT_FOUND_IN_CACHE

    def say(event: str, duration_secs: float, **details: Any) -> None:
        nonlocal found_before
        if event != compat.EVENT_COMPILED_OR_FOUND:
            return
        what = "found in the compilation cache" if found > found_before else "compiled"
        found_before = found
        if each is not None and duration_secs >= WORTH_SAYING:
            name = str(details.get("fun_name", "a program")).removeprefix("jit(").removesuffix(")")
            each(f"{name}: {what} in {duration_secs:.1f} s{''.join(without)}")
            without.clear()

    jax.monitoring.register_event_listener(count)
    jax.monitoring.register_event_duration_secs_listener(say)
    try:
        yield lambda: found
    finally:
        jax.monitoring.unregister_event_listener(count)
        jax.monitoring.unregister_event_duration_listener(say)


def _own_folder(warn: Callable[[str], None]) -> str | None:
    """Return the folder in the cache folder, made and shrunk; ``None`` where it cannot be written."""
    folder: Path | str = "the cache folder"
    try:
        folder = cache_folder() / "compiled"
        # Who can write to it can have this process run anything.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Permissions do not tell: the file system may be read-only, and the user root.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        warn(
            f"{folder}: compiled programs cannot be kept there for the next start ({reason}); "
            "--compilation_cache false does not try"
        )
        return None
    shrink(folder, MOST_BYTES)
    return str(folder)


def _short(place: str) -> str:
    """Return a path with ``~`` for the user's home."""
    home = os.environ.get("HOME", "").rstrip("/")
    return f"~{place.removeprefix(home)}" if home and place.startswith(f"{home}/") else place
