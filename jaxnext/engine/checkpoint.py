"""What a run or a ported checkpoint keeps on disk, through Orbax.

    FOLDER/checkpoints/best/EPOCH       model and meta: the epoch with the highest validation accuracy
    FOLDER/checkpoints/every/EPOCH      the same, every N epochs
    FOLDER/checkpoints/last/POSITION    also optimiser and progress: all that the run needs to go on

The model is the one that is validated and predicted with: the moving average where there is one. ``last`` then has the
trained parameters with the optimiser. Only ``last`` holds the optimiser's moments, so that disk use stays small. Orbax
writes beside and renames: a
checkpoint is whole or not there. A new one is finished before the one it replaces is deleted.
"""

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxnext.config import yaml_text
from jaxnext.config.mapping import build
from jaxnext.config.older_formats import upgrade_written
from jaxnext.config.sections import Config
from jaxnext.data.pixels import Pixels
from jaxnext.errors import JaxnextError
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from jaxnext.types import Variables

FORMAT = 3
"""Of what is written. Read are also 1, which had other names for some settings, and 2, which had none for orientation,
depth, background and shape of images: they were as ``upgrade_written`` says."""
KINDS = ("best", "last", "every")

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
        if values.get("format") not in range(1, FORMAT + 1):
            raise ValueError(f"expected checkpoint format {FORMAT} or an earlier one, found {values.get('format')!r}")
        config = build(upgrade_written(yaml_text.load_yaml(values["config"])))
        expected = preprocessing(config) if values["format"] == FORMAT else _preprocessing_before(config)
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
        items = {"model": ocp.args.StandardSave(variables), "meta": ocp.args.JsonSave(meta.to_json())}
        self._save(kind, epoch, items)

    def save_last(
        self, position: int, variables: Variables, optimizer: Any, progress: Mapping[str, Any], meta: Meta
    ) -> None:
        """Save all that the run needs to go on from a position, replacing the one before.

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
        items = {
            "model": ocp.args.StandardSave(variables),
            # Orbax saves no empty tree.
            **({"optimizer": ocp.args.StandardSave(leaves)} if leaves else {}),
            "progress": ocp.args.JsonSave(dict(progress)),
            "meta": ocp.args.JsonSave(meta.to_json()),
        }
        self._save("last", position, items)

    def restore_model(self, kind: str) -> tuple[Variables, Meta]:
        """Return the newest model of a kind, as NumPy arrays.

        Raises:
            JaxnextError: where there is none, or it cannot be read.
        """
        items = self._restore(kind, {"model": ocp.args.StandardRestore(), "meta": ocp.args.JsonRestore()})
        return items["model"], items["meta"]

    def restore_last(self, optimizer: Any) -> tuple[Variables, Any, dict[str, Any], Meta]:
        """Return what ``save_last`` saved; ``optimizer`` is a tree of the same structure.

        Raises:
            JaxnextError: where there is none, it cannot be read, or the optimiser's state is another's.
        """
        leaves, structure = jax.tree.flatten(optimizer)
        there = (self.root / "last" / str(self.latest("last")) / "optimizer").is_dir()
        names = ("model", *["optimizer"] * (there or len(leaves) > 0))
        arguments: dict[str, Any] = {name: ocp.args.StandardRestore() for name in names}
        items = self._restore("last", arguments | {"progress": ocp.args.JsonRestore(), "meta": ocp.args.JsonRestore()})
        saved = items.get("optimizer", {})
        found = [saved[name] for name in sorted(saved)]
        if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in found]:
            raise JaxnextError(f"{self.root / 'last'}: expected the state of this run's optimizer, found another's")
        return items["model"], jax.tree.unflatten(structure, found), items["progress"], items["meta"]

    @_quiet()
    def _save(self, kind: str, number: int, items: dict[str, Any]) -> None:
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
            manager.save(number, args=ocp.args.Composite(**items))
            for leftover in (self.root / kind).glob(LEFTOVER):
                shutil.rmtree(leftover)
        except JaxnextError:
            raise
        except Exception as error:
            raise JaxnextError(f"{self.root / kind}: the checkpoint cannot be written ({_reason(error)})") from error

    @_quiet()
    def _restore(self, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        number = self.latest(kind)
        if number is None:
            kinds = [k for k in KINDS if self.latest(k) is not None]
            there = f"; it has: {', '.join(kinds)}" if kinds else ""
            raise JaxnextError(f"{self.root.parent}: expected a checkpoint '{kind}', found none{there}")
        place = self.root / kind / str(number)
        try:
            restored = self._manager(kind).restore(number, args=ocp.args.Composite(**arguments))
            items = {name: restored[name] for name in arguments}
            return items | {"meta": Meta.from_json(items["meta"])}
        except JaxnextError:
            raise
        except Exception as error:
            raise JaxnextError(f"{place}: the checkpoint cannot be read ({_reason(error)})") from error

    @_quiet()
    def _manager(self, kind: str) -> ocp.CheckpointManager:
        if kind not in self._managers:
            keep = None if kind == "every" else 1
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


def _reason(error: Exception) -> str:
    # Orbax and TensorStore raise many kinds of exception, often with a first line of several thousand characters.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = (text.strip() or type(error).__name__).splitlines()[0].partition(" [tensorstore_spec=")[0]
    return line if len(line) <= 400 else f"{line[:200]} ... {line[-195:]}"
