"""The checkpoints of one kind, numbered folders that Orbax writes and reads, with digests of what they hold.

Orbax writes beside and renames: a checkpoint is whole or not there. What is written is read back from the disk and
compared before anything older is deleted. One thread at a time may use a folder.
"""

import contextlib
import itertools
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxnext.compat import orbax_ended
from jaxnext.engine.digests import Digests, difference, digests_of
from jaxnext.errors import JaxnextError

DIGESTS = "digests"
"""Name of the item with the digests of the others."""
LEFTOVER = "*.orbax-checkpoint-tmp*"
"""What is left beside the checkpoints by a process that is killed while Orbax writes one, or while one is deleted."""
_GOING = ".orbax-checkpoint-tmp-deleted"
"""End of the name of one that is being deleted: killed meanwhile, half of it is no checkpoint, but such a leftover."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within it Orbax does not log: every save, and the traceback of every failure, which it also raises."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


class CheckpointFolder:
    """The checkpoints of a kind. Close it, so that nothing of Orbax is left."""

    def __init__(self, place: Path, damaged: Path) -> None:
        """Open nothing yet.

        Args:
            place: the folder, absolute.
            damaged: folder into which what is damaged is put.
        """
        self.place, self.damaged = place, damaged
        self._opened: ocp.CheckpointManager | None = None

    @_quiet()
    def close(self) -> None:
        """Finish what is being written."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @_quiet()
    def look_again(self) -> None:
        """Notice what another process has changed in the folder."""
        if self._opened is not None:
            self._opened.reload()

    @_quiet()
    def numbers(self) -> list[int]:
        """Return the numbers of the whole checkpoints, the oldest first. Creates nothing."""
        return sorted(self._manager().all_steps()) if self.place.is_dir() else []

    def has(self, number: int, item: str) -> bool:
        """Return whether a checkpoint has an item."""
        return (self.place / str(number) / item).is_dir()

    def save(self, number: int, arrays: Mapping[str, Any], values: Mapping[str, Any], keep: int | None) -> None:
        """Write a checkpoint, read it back, and only then delete older ones. One that is there and whole stays.

        Args:
            number: of the checkpoint.
            arrays: nested dicts of NumPy arrays, by item.
            values: plain JSON values, by item.
            keep: how many of the newest stay; ``None``: all.

        Raises:
            JaxnextError: it cannot be written; a newer one is there already; or it is not read back as it was written:
                then it is put beside, and the older ones stay.
        """
        try:
            # A process that was killed may have written it and not have read it back.
            if number in self.numbers() and self._damage(number, arrays, values) is not None:
                self.set_aside(number)
            if number not in self.numbers():
                self._write(number, arrays, values)
                if (error := self._damage(number, arrays, values)) is not None:
                    place = self.set_aside(number)
                    raise JaxnextError(
                        f"{error}, just after it was written; it is kept as {place}, and the one before stays: is the "
                        "disk in order?"
                    ) from error
            self._delete(self.numbers()[:-keep] if keep is not None else [])
        except JaxnextError:
            raise
        except Exception as error:
            self.remove_leftovers()
            reason = _system_reason(error) or _reason(error)
            raise JaxnextError(f"{self.place}: the checkpoint cannot be written ({reason})") from error

    @_quiet()
    def read(self, number: int, arrays: Iterable[str], values: Iterable[str]) -> tuple[dict[str, Any], Digests | None]:
        """Return items of a checkpoint by name, arrays as NumPy's, and the digests that were written, if any were.

        Raises:
            JaxnextError: it cannot be read.
        """
        has_digests = self.has(number, DIGESTS)
        arguments: dict[str, Any] = {name: ocp.args.StandardRestore() for name in arrays}
        arguments |= {name: ocp.args.JsonRestore() for name in (*values, *[DIGESTS] * has_digests)}
        try:
            with orbax_ended():
                restored = self._manager().restore(number, args=ocp.args.Composite(**arguments))
            items = {name: restored[name] for name in arguments}
            if has_digests and not isinstance(items[DIGESTS], Mapping):
                raise ValueError(f"expected digests by name, found {str(items[DIGESTS])[:80]!a}")
        except Exception as error:
            raise self.unreadable(number, error) from error
        return items, items.pop(DIGESTS, None)

    def unreadable(self, number: int, error: Exception) -> JaxnextError:
        """Return the sentence for a checkpoint that cannot be read."""
        return JaxnextError(f"{self.place / str(number)}: the checkpoint cannot be read ({_reason(error)})")

    def set_aside(self, number: int) -> Path:
        """Put a checkpoint into the folder of what is damaged; return its place there.

        Raises:
            JaxnextError: it cannot be put there.
        """
        name = f"{self.place.name}-{number}"
        names = itertools.chain([name], (f"{name}-{again}" for again in itertools.count(2)))
        place = next(place for place in map(self.damaged.joinpath, names) if not place.exists())
        try:
            self.damaged.mkdir(exist_ok=True)
            (self.place / str(number)).rename(place)
        except OSError as error:
            raise JaxnextError(f"{place}: the folder cannot be put there ({error.strerror})") from error
        self.look_again()
        return place

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed has left of one that it was writing or deleting."""
        for leftover in self.place.glob(LEFTOVER):
            shutil.rmtree(leftover, ignore_errors=True)

    @_quiet()
    def _write(self, number: int, arrays: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        values = {**values, DIGESTS: digests_of(arrays, values)}
        items = {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
        items |= {name: ocp.args.JsonSave(value) for name, value in values.items()}
        manager = self._manager()
        newest = manager.latest_step()
        if newest is not None and newest > number:
            # Orbax would leave this one out without a word.
            raise JaxnextError(
                f"{self.place}: expected to save a checkpoint newer than {newest}, found number {number}; "
                "the folder holds another run: give another --output"
            )
        with orbax_ended():
            manager.save(number, args=ocp.args.Composite(**items))

    def _damage(self, number: int, arrays: Iterable[str], values: Iterable[str]) -> JaxnextError | None:
        """Read a checkpoint; return the sentence for what is not as it was written."""
        try:
            items, written = self.read(number, arrays, values)
        except JaxnextError as error:
            return error
        changed = changes(items, arrays, values, written)
        return None if changed is None else self.unreadable(number, changed)

    def _delete(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            (self.place / str(number)).rename(self.place / f"{number}{_GOING}")
        for leftover in self.place.glob(LEFTOVER):
            shutil.rmtree(leftover)
        if numbers:
            self.look_again()

    @_quiet()
    def _manager(self) -> ocp.CheckpointManager:
        if self._opened is None:
            # Synchronous: a save is waited for anyway, and after a failed one Orbax's threads would hold the process.
            alone = _alone()
            options = ocp.CheckpointManagerOptions(
                enable_async_checkpointing=False,
                create=alone.active_processes is None,
                multiprocessing_options=alone,
            )
            if not options.create:
                self.place.mkdir(parents=True, exist_ok=True)
            self._opened = ocp.CheckpointManager(self.place, options=options)
        return self._opened


def changes(
    items: Mapping[str, Any], arrays: Iterable[str], values: Iterable[str], written: Digests | None
) -> ValueError | None:
    """Compare what was read with the digests that were written, if any were; return what differs first.

    Args:
        items: that were read, by name.
        arrays: names of those that are nested dicts of arrays.
        values: names of those that are plain JSON values.
        written: digests.
    """
    if written is None:
        return None
    found = digests_of({name: items[name] for name in arrays}, {name: items[name] for name in values})
    changed = difference(written, found)
    return None if changed is None else ValueError(f"it is not what was written: {changed}")


def _alone() -> ocp.options.MultiprocessingOptions:
    """Have each of several processes read, and the one that writes write, without waiting for the others."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process{index}"
    )


def _system_reason(error: Exception) -> str | None:
    """Return what the system says, where it refused a write; TensorStore names its own files beside, and the number."""
    if isinstance(error, OSError):
        return error.strerror
    found = re.search(r"\[os_error_code='(\d+)'", str(error))
    return os.strerror(int(found[1])) if found else None


def _reason(error: Exception) -> str:
    # Orbax and TensorStore raise many kinds of exception, often with a first line of several thousand characters.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = (text.strip() or type(error).__name__).splitlines()[0].partition(" [tensorstore_spec=")[0]
    return line if len(line) <= 400 else f"{line[:200]} ... {line[-195:]}"
