"""What a run or a ported checkpoint keeps on disk, through Orbax.

    FOLDER/checkpoints/best/EPOCH       model and meta: the epoch with the highest validation accuracy
    FOLDER/checkpoints/every/EPOCH      the same, every N epochs
    FOLDER/checkpoints/last/POSITION    also optimiser and progress: all that the run needs to go on; the newest two
    FOLDER/checkpoints/damaged/...      one that was found damaged, just after it was written or when the run went on

Each has digests of its arrays and values, which are checked when it is read, as it is once before an older one is
deleted.
The model is the one that is validated and predicted with: the moving average where there is one. ``last`` then has the
trained parameters with the optimiser. Only ``last`` holds the optimiser's moments, so that disk use stays small.
"""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnext.config import yaml_text
from jaxnext.config.mapping import build
from jaxnext.config.older_formats import upgrade_written
from jaxnext.config.sections import Config
from jaxnext.data.pixels import Pixels
from jaxnext.engine.checkpoint_folder import DIGESTS, CheckpointFolder, changes
from jaxnext.errors import JaxnextError
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from jaxnext.types import Variables

FORMAT = 4
"""Of what is written. Read are also 1, which had other names for some settings; 2, which had none for orientation,
depth, background and shape of images: they were as ``upgrade_written`` says; and 3, which had no digests."""
KINDS = ("best", "last", "every")
_KEPT = {"best": 1, "last": 2, "every": None}
"""How many of the newest of each kind stay."""


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


class Checkpoints:
    """The checkpoints of one folder. Close it, or use it as a context manager, so that the last write is finished.

    Several threads may use it; each waits for what another is doing.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder.absolute() / "checkpoints"
        self._folders = {kind: CheckpointFolder(self.root / kind, self.root / "damaged") for kind in KINDS}
        self._lock = threading.RLock()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is being written."""
        with self._lock:
            for folder in self._folders.values():
                folder.close()

    def latest(self, kind: str) -> int | None:
        """Return the number of the newest whole checkpoint of a kind, or ``None``. Creates nothing."""
        return max(self.numbers(kind), default=None)

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
        with self._lock:
            return self._folders[kind].numbers()

    def verify(self, kind: str, number: int) -> bool:
        """Read a checkpoint whole; return whether it has digests, which those of earlier formats have not.

        Raises:
            JaxnextError: it cannot be read, or is not what was written.
        """
        folder = self._folders[kind]
        arrays = ["model", *["optimizer"] * folder.has(number, "optimizer")]
        self._restore(kind, number, arrays, ["meta"] if kind != "last" else ["progress", "meta"])
        return folder.has(number, DIGESTS)

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
        with self._lock:
            for number, error in found:
                place = self._folders["last"].set_aside(number)
                lines.append(f"{error}; it is kept as {place}, and the run goes on from the one before")
        return lines

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed has left of a checkpoint that it was writing or deleting."""
        with self._lock:
            for folder in self._folders.values():
                folder.remove_leftovers()

    def look_again(self) -> None:
        """Notice what another process has changed in the folder."""
        with self._lock:
            for folder in self._folders.values():
                folder.look_again()

    def restore_last(self, optimizer: Any) -> tuple[Variables, Any, dict[str, Any], Meta]:
        """Return what ``save_last`` saved; ``optimizer`` is a tree of the same structure.

        Raises:
            JaxnextError: where there is none, it cannot be read, or the optimiser's state is another's.
        """
        leaves, structure = jax.tree.flatten(optimizer)
        number = self._newest("last")
        there = self._folders["last"].has(number, "optimizer")
        names = ["model", *["optimizer"] * (there or len(leaves) > 0)]
        items = self._restore("last", number, names, ["progress", "meta"])
        saved = items.get("optimizer", {})
        found = [saved[name] for name in sorted(saved)]
        if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in found]:
            raise JaxnextError(f"{self.root / 'last'}: expected the state of this run's optimizer, found another's")
        return items["model"], jax.tree.unflatten(structure, found), items["progress"], items["meta"]

    def _save(self, kind: str, number: int, arrays: dict[str, Any], values: dict[str, Any]) -> None:
        with self._lock:
            self._folders[kind].save(number, arrays, values, _KEPT[kind])

    def _newest(self, kind: str) -> int:
        number = self.latest(kind)
        if number is None:
            kinds = [k for k in KINDS if self.latest(k) is not None]
            there = f"; it has: {', '.join(kinds)}" if kinds else ""
            raise JaxnextError(f"{self.root.parent}: expected a checkpoint '{kind}', found none{there}")
        return number

    def _restore(self, kind: str, number: int, arrays: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
        """Return items of a checkpoint, those of JSON after those of arrays, ``meta`` among them."""
        folder = self._folders[kind]
        with self._lock:
            items, written = folder.read(number, arrays, values)
        try:
            # What another version has written is said to be that.
            meta = Meta.from_json(items["meta"])
        except Exception as error:
            raise folder.unreadable(number, error) from error
        changed = changes(items, arrays, values, written)
        if written is None and items["meta"].get("format") == FORMAT:
            changed = ValueError("expected its digests, found none")
        if changed is not None:
            raise folder.unreadable(number, changed)
        return items | {"meta": meta}


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
