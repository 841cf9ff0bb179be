"""A run, a packed data set, a decoded cache or an exported net, read whole."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxnext.config.yaml_text import load_config
from jaxnext.data.cache.entry_digests import caches, check_cache
from jaxnext.engine.checkpoint import KINDS, Checkpoints
from jaxnext.engine.run_folder import CONFIG, METRICS
from jaxnext.errors import JaxnextError, one_line
from jaxnext.file_digests import SUMS, Checked, check_file, check_sums, problem_of

DAMAGED_STATUS = 1
"""Exit status where something is damaged."""
_METADATA = "metadata.json"
"""Of a packed data set."""


def verify(path: Path, *, say: Callable[[str], None], warn: Callable[[str], None]) -> int:
    """Read all of what was written, and compare it with its digests.

    Args:
        path: folder of a run or of a ported checkpoint: every checkpoint, and its config, description and figures;
            of a packed data set, or one that holds some; of decoded caches; or an exported file or folder.
        say: shows a line to the user.
        warn: the same, for what is damaged.

    Returns:
        the exit status: 0, or 1 where something is damaged.

    Raises:
        JaxnextError: it is none of these.
    """
    damaged = 0
    for place, problem in _looked_at(path, say):
        if problem is None:
            say(f"{place}: whole")
        else:
            damaged += 1
            warn(f"{place}: {problem}" if place else problem)
    return DAMAGED_STATUS if damaged else 0


def _looked_at(path: Path, say: Callable[[str], None]) -> Iterator[Checked]:
    if path.is_file():
        return iter([check_file(path)])
    if (path / "checkpoints").is_dir():
        return _run(path, say)
    if found := caches(path):
        return (checked for folder in found for checked in check_cache(folder))
    # A packed data set is at PATH/NAME/VERSION.
    for pattern in ("", "*/", "*/*/"):
        if found := sorted(sums.parent for sums in path.glob(f"{pattern}{SUMS}")):
            return (checked for folder in found for checked in check_sums(folder))
        if found := sorted(path.glob(f"{pattern}{_METADATA}")):
            return (checked for file in found for checked in _shards(file))
    raise JaxnextError(
        f"{path}: expected an exported file, or the folder of a run, a ported checkpoint, a packed data set, a decoded "
        f"cache or an export, found {'no checkpoints/, cache.json or ' + SUMS if path.is_dir() else 'nothing'}"
        f"{' in it' if path.is_dir() else ''}"
    )


def _shards(metadata: Path) -> Iterator[Checked]:
    """The shards of a data set that an earlier version has packed, which has digests of them alone."""
    try:
        noted = dict(json.loads(metadata.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Checked(str(metadata), f"expected the SHA-256 of each shard, found none ({one_line(error)})")
        return
    for name, digest in sorted(noted.items()):
        yield Checked(str(metadata.with_name(name)), problem_of(metadata.with_name(name), digest))


def _run(folder: Path, say: Callable[[str], None]) -> Iterator[Checked]:
    """The checkpoints and files of a run; those that earlier versions wrote without digests are said to be such."""
    count = 0
    with Checkpoints(folder) as checkpoints:
        for kind in KINDS:
            for number in checkpoints.numbers(kind):
                count += 1
                place = folder / "checkpoints" / kind / str(number)
                try:
                    if checkpoints.verify(kind, number):
                        yield Checked(str(place), None)
                    else:
                        say(f"{place}: can be read; an earlier version wrote it, without digests")
                except JaxnextError as error:
                    yield Checked("", str(error))
    if not count:
        yield Checked("", f"{folder}: expected checkpoints, found none that is whole")
    for file in (CONFIG, METRICS, "run.json"):
        if problem := _unreadable(folder / file):
            yield Checked("", problem)


def _unreadable(file: Path) -> str | None:
    """Return what is wrong with a file of the run, where it is there."""
    if not file.exists():
        return None
    try:
        if file.name == CONFIG:
            load_config(file, written=True)
        else:
            text = file.read_text(encoding="utf-8")
            for line in text.splitlines() if file.name == METRICS else [text]:
                json.loads(line)
    except JaxnextError as error:
        return str(error)
    except (OSError, ValueError, RecursionError) as error:
        return f"{file}: the file cannot be read ({one_line(error)})"
    return None
