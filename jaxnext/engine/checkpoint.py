"""What a run or a ported checkpoint keeps on disk, through Orbax.

    FOLDER/checkpoints/best/EPOCH       model and meta: the epoch with the highest validation accuracy
    FOLDER/checkpoints/every/EPOCH      the same, every N epochs
    FOLDER/checkpoints/last/POSITION    also optimiser and progress: all that the run needs to go on; the newest two
    FOLDER/checkpoints/damaged/...      one of ``last`` that was found damaged when the run was gone on with

Each has digests of its arrays and values, which are checked when it is read.
The model is the one that is validated and predicted with: the moving average where there is one. ``last`` then has the
trained parameters with the optimiser. Only ``last`` holds the optimiser's moments, so that disk use stays small. Orbax
writes beside and renames: a
checkpoint is whole or not there. A new one is finished before the one it replaces is deleted.
"""

import contextlib
import dataclasses
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxnext.compat import orbax_ended
from jaxnext.config import yaml_text
from jaxnext.config.mapping import build
from jaxnext.config.older_formats import upgrade_written
from jaxnext.config.sections import Config
from jaxnext.data.pixels import Pixels
from jaxnext.engine.digests import difference, digests_of
from jaxnext.errors import JaxnextError
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from jaxnext.types import Variables

FORMAT = 4
"""Of what is written. Read are also 1, which had other names for some settings; 2, which had none for orientation,
depth, background and shape of images: they were as ``upgrade_written`` says; and 3, which had no digests."""
KINDS = ("best", "last", "every")

_DIGESTS = "digests"
"""Name of the item with the digests of the others."""
LEFTOVER = "*.orbax-checkpoint-tmp*"
"""What Orbax leaves beside the checkpoints when it is killed while writing one."""


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a checkpoint says of its model; with ``model`` it is all that prediction needs."""

    config: Config
    """the full config of the run"""
    classes: tuple[str, ...] | None
    """class names in the order of the outputs; ``None`` where no head is trained"""
    trained: tuple[str, ...]
    """parts that hold trained weights: backbone, attention, head"""
    epoch: int = 0
    """epochs trained"""
    val_accuracy: float | None = None
    """validation accuracy after that epoch, 0 to 1"""
    validation: str | None = None
    """fingerprint of the validation images"""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "format": FORMAT,
            "config": yaml_text.dump_config(self.config),
            "classes": None if self.classes is None else list(self.classes),
            "trained": list(self.trained),
            "epoch": self.epoch,
            "val_accuracy": self.val_accuracy,
            "validation": self.validation,
            "preprocessing": preprocessing(self.config),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Meta":
        """Make one of what ``to_json`` wrote.

        Raises:
            ValueError: for another format, or preprocessing that this version does not do.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"expected what it says of its model, found {str(values)[:80]!a}")
        if values.get("format") not in range(1, FORMAT + 1):
            raise ValueError(f"expected checkpoint format {FORMAT} or an earlier one, found {values.get('format')!r}")
        config = build(upgrade_written(yaml_text.load_yaml(values["config"])))
        expected = preprocessing(config) if values["format"] >= 3 else _preprocessing_before(config)
        if (found := values["preprocessing"]) != expected:
            other = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
            shown = ({name: side.get(name) for name in other} for side in (expected, found))
            raise ValueError("expected preprocessing {}, found {}".format(*shown))
        classes = values["classes"]
        return cls(
            config,
            None if classes is None else tuple(classes),
            tuple(values["trained"]),
            values["epoch"],
            values["val_accuracy"],
            values["validation"],
        )


def preprocessing(config: Config) -> dict[str, Any]:
    """Return how an image becomes an input, as recorded in every checkpoint."""
    return {
        **Pixels.of(config.data).to_json(),
        "filter": "bilinear, antialiased",
        "mean": list(config.model.mean),
        "std": list(config.model.std),
    }


def _preprocessing_before(config: Config) -> dict[str, Any]:
    """The same, as formats 1 and 2 recorded it."""
    return {
        "image_size": config.data.image_size,
        "resize": "bilinear, antialiased, to a square",
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }


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


class Checkpoints:
    """The checkpoints of one folder. Close it, or use it as a context manager, so that the last write is finished."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.absolute() / "checkpoints"
        self._managers: dict[str, ocp.CheckpointManager] = {}

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @_quiet()
    def close(self) -> None:
        """Finish what is being written."""
        for manager in self._managers.values():
            manager.close()
        self._managers.clear()

    @_quiet()
    def latest(self, kind: str) -> int | None:
        """Return the number of the newest whole checkpoint of a kind, or ``None``. Creates nothing."""
        if not (self.root / kind).is_dir():
            return None
        return self._manager(kind).latest_step()

    def save_model(self, kind: str, epoch: int, variables: Variables, meta: Meta) -> None:
        """Save a model as ``best`` (replacing the one before) or ``every``. One that is there already stays.

        Raises:
            JaxnextError: it cannot be written, or a newer one is there already.
        """
        self._save(kind, epoch, {"model": variables}, {"meta": meta.to_json()})

    def save_last(
        self, position: int, variables: Variables, optimizer: Any, progress: Mapping[str, Any], meta: Meta
    ) -> None:
        """Save all that the run needs to go on from a position; the one before stays, the others go.

        Args:
            position: batches of the run that are done.
            variables: nested dict of NumPy arrays.
            optimizer: the optimiser's state and all else that is no part of the model, any tree of NumPy arrays; its
                leaves are saved by number. Where it has none, nothing is.
            progress: plain JSON values.
            meta: of the model.

        Raises:
            JaxnextError: it cannot be written, or a newer one is there already.
        """
        leaves = {f"{i:04d}": leaf for i, leaf in enumerate(jax.tree.leaves(optimizer))}
        # Orbax saves no empty tree.
        arrays = {"model": variables, **({"optimizer": leaves} if leaves else {})}
        self._save("last", position, arrays, {"progress": dict(progress), "meta": meta.to_json()})

    def restore_model(self, kind: str) -> tuple[Variables, Meta]:
        """Return the newest model of a kind, as NumPy arrays.

        Raises:
            JaxnextError: where there is none, it cannot be read, or it is not what was written.
        """
        items = self._restore(kind, self._newest(kind), ["model"], ["meta"])
        return items["model"], items["meta"]

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of the whole checkpoints of a kind, the oldest first. Creates nothing."""
        return sorted(self._manager(kind).all_steps()) if self.latest(kind) is not None else []

    def verify(self, kind: str, number: int) -> bool:
        """Read a checkpoint whole; return whether it has digests, which those of earlier formats have not.

        Raises:
            JaxnextError: it cannot be read, or is not what was written.
        """
        place = self.root / kind / str(number)
        arrays = ["model", *["optimizer"] * (place / "optimizer").is_dir()]
        self._restore(kind, number, arrays, ["meta"] if kind != "last" else ["progress", "meta"])
        return (place / _DIGESTS).is_dir()

    def set_aside_damaged(self) -> list[str]:
        """Put what is damaged of ``last`` beside, where the one before is whole, so that a run can be gone on with.

        Returns:
            a line for each that was put into ``checkpoints/damaged``.

        Raises:
            JaxnextError: none is whole; or a damaged one cannot be put beside.
        """
        lines: list[str] = []
        found: list[tuple[int, JaxnextError]] = []
        for number in reversed(self.numbers("last")):
            try:
                self.verify("last", number)
                break
            except JaxnextError as error:
                found.append((number, error))
        else:
            if found:
                raise found[0][1]
        for number, error in found:
            place = self.root / "damaged" / f"last-{number}"
            try:
                place.parent.mkdir(exist_ok=True)
                (self.root / "last" / str(number)).rename(place)
            except OSError as failed:
                raise JaxnextError(f"{place}: the folder cannot be put there ({failed.strerror})") from failed
            lines.append(f"{error}; it is kept as {place}, and the run goes on from the one before")
        if lines:
            self.look_again()
        return lines

    @_quiet()
    def look_again(self) -> None:
        """Notice what another process has changed in the folder."""
        for manager in self._managers.values():
            manager.reload()

    def restore_last(self, optimizer: Any) -> tuple[Variables, Any, dict[str, Any], Meta]:
        """Return what ``save_last`` saved; ``optimizer`` is a tree of the same structure.

        Raises:
            JaxnextError: where there is none, it cannot be read, or the optimiser's state is another's.
        """
        leaves, structure = jax.tree.flatten(optimizer)
        number = self._newest("last")
        there = (self.root / "last" / str(number) / "optimizer").is_dir()
        names = ["model", *["optimizer"] * (there or len(leaves) > 0)]
        items = self._restore("last", number, names, ["progress", "meta"])
        saved = items.get("optimizer", {})
        found = [saved[name] for name in sorted(saved)]
        if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in found]:
            raise JaxnextError(f"{self.root / 'last'}: expected the state of this run's optimizer, found another's")
        return items["model"], jax.tree.unflatten(structure, found), items["progress"], items["meta"]

    @_quiet()
    def _save(self, kind: str, number: int, arrays: dict[str, Any], values: dict[str, Any]) -> None:
        saved = {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
        values = {**values, _DIGESTS: digests_of(arrays, values)}
        items = saved | {name: ocp.args.JsonSave(value) for name, value in values.items()}
        try:
            manager = self._manager(kind)
            if number in manager.all_steps():
                return
            newest = manager.latest_step()
            if newest is not None and newest > number:
                # Orbax would leave this one out without a word.
                raise JaxnextError(
                    f"{self.root / kind}: expected to save a checkpoint newer than {newest}, found number {number}; "
                    "the folder holds another run: give another --output"
                )
            with orbax_ended():
                manager.save(number, args=ocp.args.Composite(**items))
            for leftover in (self.root / kind).glob(LEFTOVER):
                shutil.rmtree(leftover)
        except JaxnextError:
            raise
        except Exception as error:
            for leftover in (self.root / kind).glob(LEFTOVER):
                shutil.rmtree(leftover, ignore_errors=True)
            reason = _system_reason(error) or _reason(error)
            raise JaxnextError(f"{self.root / kind}: the checkpoint cannot be written ({reason})") from error

    def _newest(self, kind: str) -> int:
        number = self.latest(kind)
        if number is None:
            kinds = [k for k in KINDS if self.latest(k) is not None]
            there = f"; it has: {', '.join(kinds)}" if kinds else ""
            raise JaxnextError(f"{self.root.parent}: expected a checkpoint '{kind}', found none{there}")
        return number

    @_quiet()
    def _restore(self, kind: str, number: int, arrays: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
        """Return items of a checkpoint, those of JSON after those of arrays, ``meta`` among them."""
        place = self.root / kind / str(number)
        has_digests = (place / _DIGESTS).is_dir()
        arguments: dict[str, Any] = {name: ocp.args.StandardRestore() for name in arrays}
        arguments |= {name: ocp.args.JsonRestore() for name in (*values, *[_DIGESTS] * has_digests)}
        try:
            with orbax_ended():
                restored = self._manager(kind).restore(number, args=ocp.args.Composite(**arguments))
            items = {name: restored[name] for name in arguments}
            # What another version has written is said to be that.
            meta = Meta.from_json(items["meta"])
            written = items.pop(_DIGESTS, None)
            if written is not None:
                found = digests_of({name: items[name] for name in arrays}, {name: items[name] for name in values})
                if changed := difference(written, found):
                    raise ValueError(f"it is not what was written: {changed}")
            elif items["meta"].get("format") == FORMAT:
                raise ValueError("expected its digests, found none")
            return items | {"meta": meta}
        except JaxnextError:
            raise
        except Exception as error:
            raise JaxnextError(f"{place}: the checkpoint cannot be read ({_reason(error)})") from error

    @_quiet()
    def _manager(self, kind: str) -> ocp.CheckpointManager:
        if kind not in self._managers:
            keep = {"every": None, "last": 2}.get(kind, 1)
            # Synchronous: a save is waited for anyway, and after a failed one Orbax's threads would hold the process.
            alone = _alone()
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                enable_async_checkpointing=False,
                create=alone.active_processes is None,
                multiprocessing_options=alone,
            )
            if not options.create:
                (self.root / kind).mkdir(parents=True, exist_ok=True)
            self._managers[kind] = ocp.CheckpointManager(self.root / kind, options=options)
        return self._managers[kind]


def read_model(folder: Path, which: str) -> tuple[Variables, Meta]:
    """Return the newest model of a kind in a folder.

    Raises:
        JaxnextError: it is not the folder of a run or of a ported checkpoint, or as ``Checkpoints.restore_model``.
    """
    if not (folder / "checkpoints").is_dir():
        raise JaxnextError(
            f"{folder}: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"
        )
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore_model(which)


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
