"""The compilation cache of a command: JAX's own in the user's cache folder, and what became of it said in one line."""

import contextlib
import glob
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from jaxnext.cli.process import cache_folder
from jaxnext.ops.cpu import onednn
from jaxnext.training.environment import CompilationCache

MOST_BYTES = 2 * 2**30
"""What the programs in the folder may take when a command starts."""

WORTH_KEEPING = 0.5
"""Seconds of compilation from which a program is kept."""

WORTH_SAYING = 1.0
"""Seconds from which a program is said by itself."""

WITH_ONEDNN = "not kept: convolutions by oneDNN cannot be (--compilation_cache true keeps programs, and is slower)"

_FOUND = "/jax/compilation_cache/cache_hits"
_COMPILED_OR_FOUND = "/jax/core/compile/backend_compile_duration"
_FAILURE = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']*)': (.*)", re.DOTALL)


@contextlib.contextmanager
def compilation_cache(
    wanted: bool | None,
    precision: str,
    warn: Callable[[str], None],
    each: Callable[[str], None] | None = None,
    *,
    small: bool = False,
) -> Iterator[CompilationCache | None]:
    """Within it, JAX keeps what it compiles and finds what earlier commands have compiled.

    The folder is ``compiled`` in the cache folder. One that the user has given to JAX (``JAX_COMPILATION_CACHE_DIR``)
    is used as JAX was told to. Nothing that is wrong with it ends the command: it is said in one sentence, and the
    program is compiled.

    Args:
        wanted: false switches the cache off; ``None``: on, unless convolutions will be computed by oneDNN, whose calls
            cannot be kept, and which compile in half the time. A folder given to JAX is always used.
        precision: that the programs will compute in.
        warn: shows a line about what went wrong.
        each: shows a line for each program that takes a second or more to compile or to find; ``None``: none is shown.
        small: the programs are small: oneDNN would be faster by a tenth, which is less than a later start gains by
            finding them. By default they do without it.

    Yields:
        the cache, or why by default there is none; ``None`` where it is switched off or cannot be written.
    """
    settings: Any = jax.config
    by_default = wanted is None and settings.jax_enable_compilation_cache and not settings.jax_compilation_cache_dir
    calls_onednn = not small and jax.default_backend() == "cpu" and precision == "float32" and onednn.is_available()
    not_kept = WITH_ONEDNN if by_default and calls_onednn else None
    if wanted is False or not_kept:
        settings.update("jax_enable_compilation_cache", False)
    enabled, given = settings.jax_enable_compilation_cache, settings.jax_compilation_cache_dir
    own = _own_folder(warn) if enabled and not given else None
    place = (given or own) if enabled else None
    found = found_before = 0

    def count(event: str, **details: Any) -> None:
        nonlocal found
        found += event == _FOUND

    def say(event: str, duration_secs: float, **details: Any) -> None:
        nonlocal found_before
        if event != _COMPILED_OR_FOUND:
            return
        what = "found in the compilation cache" if found > found_before else "compiled"
        found_before = found
        if each is not None and duration_secs >= WORTH_SAYING:
            name = str(details.get("fun_name", "a program")).removeprefix("jit(").removesuffix(")")
            each(f"{name}: {what} in {duration_secs:.1f} s")

    jax.monitoring.register_event_listener(count)
    jax.monitoring.register_event_duration_secs_listener(say)
    try:
        with _failures_as_sentences(place, own, warn):
            kept = place is not None or not_kept is not None
            yield CompilationCache(_short(place or ""), lambda: found, not_kept) if kept else None
    finally:
        jax.monitoring.unregister_event_listener(count)
        jax.monitoring.unregister_event_duration_listener(say)


def shrink(folder: Path, most: int) -> None:
    """Delete the programs that were used longest ago, until the others take at most so many bytes.

    JAX's own limit, ``jax_compilation_cache_max_size``, needs another package, and after a command that was killed
    between the two files that it then has for a program, nothing can be written any more.
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


def _own_folder(warn: Callable[[str], None]) -> str | None:
    """The folder in the cache folder, which JAX uses from now on; ``None`` where it cannot be written."""
    folder: Path | str = "the cache folder"
    try:
        folder = cache_folder() / "compiled"
        # Who can write to it can have this process run anything.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Permissions do not tell: the file system may be read-only, and the user root.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        warn(_not_kept(folder, getattr(error, "strerror", None) or str(error)))
        return None
    shrink(folder, MOST_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING)
    return str(folder)


@contextlib.contextmanager
def _failures_as_sentences(place: str | None, own: str | None, warn: Callable[[str], None]) -> Iterator[None]:
    """Within it, JAX's warnings about its cache are sentences, each said once.

    A damaged program is deleted from the ``own`` folder: JAX never writes over what is there, so that it would be
    compiled anew at every start.
    """
    said = set()
    with warnings.catch_warnings():
        show_others = warnings.showwarning

        def show(message: Warning | str, *where: Any, **options: Any) -> None:
            failure = _FAILURE.match(str(message))
            if failure is None:
                show_others(message, *where, **options)
                return
            act, program, reason = failure.groups()
            # The first line of the error, without the name of its class, its number and the name of a file.
            reason = re.sub(r"^[\w.]+: (\[Errno \d+\] )?|: '[^']*'$", "", reason.strip().partition("\n")[0])
            sentence = _not_kept(place, reason)
            if act == "reading":
                sentence = f"{place}: {program} is kept there but cannot be used ({reason}); it is compiled anew"
                for file in Path(own).glob(f"{glob.escape(program)}-*-cache") if own else ():
                    with contextlib.suppress(OSError):
                        file.unlink()
            if sentence not in said:
                said.add(sentence)
                warn(sentence)

        warnings.showwarning = show
        warnings.filterwarnings("always", message=_FAILURE.pattern)
        yield


def _not_kept(place: Path | str | None, reason: str) -> str:
    return (
        f"{place}: compiled programs cannot be kept there for the next start ({reason}); "
        "--compilation_cache false does not try"
    )


def _short(place: str) -> str:
    """A path with ``~`` for the user's home."""
    home = os.environ.get("HOME", "").rstrip("/")
    return f"~{place.removeprefix(home)}" if home and place.startswith(f"{home}/") else place
