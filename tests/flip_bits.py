"""Flipped bits in a checkpoint ``last``: each is noticed when it is restored, or alters nothing that is read.

    python tests/flip_bits.py --flips 10000 --seed 0

One bit at a time is flipped in a copy and flipped back; half of the bits are drawn from all bytes, half from a file
that is drawn first, for the small files hold what the large ones are read by.
"""

import argparse
import collections
import dataclasses
import faulthandler
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flat_config import model_config

from jaxnext.config.sections import OPTIMIZERS, Config
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.models.summary import variable_shapes

CLASSES = ("cat", "dog", "owl")
POSITION = 17
SECONDS = 60
"""After so many for one flip the program ends."""


@dataclasses.dataclass
class Counts:
    """What became of the flips in one kind of file, or in all."""

    noticed: int = 0
    """restoring ended in one sentence that names the checkpoint"""
    absent: int = 0
    """the checkpoint is no longer taken for a whole one, and another before it would be used"""
    unaltered: int = 0
    """all that was restored is what was saved, to the bit"""

    def add(self, other: "Counts") -> None:
        self.noticed += other.noticed
        self.absent += other.absent
        self.unaltered += other.unaltered

    def __str__(self) -> str:
        total = self.noticed + self.absent + self.unaltered
        absent = f", {self.absent:,} as none that is whole" if self.absent else ""
        return f"{total:6,} flips: {self.noticed:,} noticed{absent}, {self.unaltered:,} alter nothing that is read"


def write(folder: Path) -> Callable[[], Any]:
    """Save ``last`` of a tiny net; return what restores it, all in one tree."""
    model = model_config(
        stage_sizes=(1,), widths=(4,), features=(8,), stem_features=4, groups=2, head="fc", head_widths=(8,)
    )
    config = Config(model=model, optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-2))
    draw = np.random.default_rng(0)

    def filled(shapes: Any) -> Any:
        return jax.tree.map(lambda leaf: draw.standard_normal(leaf.shape).astype(leaf.dtype), shapes)

    variables = filled(variable_shapes(network(model, len(CLASSES), config.precision)))
    moments = {"mu": filled(variables["params"]), "nu": filled(variables["params"]), "count": np.int32(POSITION)}
    history = [{"train_loss": 1.25, "val_accuracy": 0.5}]
    progress = {"progress": {"history": history, "learning_rate": 1e-2, "position": POSITION}}
    meta = Meta(config, CLASSES, ("backbone", "head"), 1, 0.5)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_last(POSITION, variables, moments, progress, meta)

    def restore() -> Any:
        # As a run that goes on: in a process that has not yet looked at the folder.
        with Checkpoints(folder) as again:
            return again.restore_last(moments)

    return restore


def flip(flips: int, seed: int, folder: Path, watch: bool = False) -> dict[str, Counts]:
    """Flip so many bits, one after the other.

    Args:
        flips: how many.
        seed: of all of them.
        folder: an empty one, that receives the checkpoint.
        watch: for a process of its own: says how far it is, and ends it where a flip hangs.

    Returns:
        the counts of each item and each file by the part of its name that is no digest.

    Raises:
        AssertionError: a flip altered what was restored, or ended in another exception; names it.
    """
    restore = write(folder)
    place = folder / "checkpoints" / "last" / str(POSITION)
    expected = _bits(restore())
    files = sorted(file for file in place.rglob("*") if file.is_file() and file.stat().st_size)
    sizes = [file.stat().st_size for file in files]
    draw = random.Random(seed)
    counts: dict[str, Counts] = collections.defaultdict(Counts)
    for number in range(flips):
        file = draw.choices(files, sizes if number % 2 else None)[0]
        at, bit = draw.randrange(file.stat().st_size), draw.randrange(8)
        if watch:
            if number % 1000 == 0:
                print(f"{number:,} of {flips:,} flips", flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
        name = file.relative_to(place)
        what = f"flip {number} of seed {seed}, bit {bit} of byte {at} of {name}"
        _flip(file, at, bit)
        try:
            if _bits(restore()) != expected:
                raise AssertionError(f"{what}: something else was restored without a word")
            found = Counts(unaltered=1)
        except JaxnextError as error:
            absent = str(error) == f"{folder}: expected a checkpoint 'last', found none"
            if not absent and not str(error).startswith(f"{place}: "):
                raise AssertionError(f"{what}: expected an error that names {place}, found: {error}") from error
            found = Counts(absent=1) if absent else Counts(noticed=1)
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        finally:
            _flip(file, at, bit)
        counts["/".join(part for part in name.parts if len(part) < 32)].add(found)
    if watch:
        faulthandler.cancel_dump_traceback_later()
    assert _bits(restore()) == expected, "the checkpoint is no longer what was written"
    return counts


def _flip(file: Path, at: int, bit: int) -> None:
    with file.open("r+b") as content:
        content.seek(at)
        (byte,) = content.read(1)
        content.seek(at)
        content.write(bytes([byte ^ 1 << bit]))


def _bits(restored: Any) -> list[Any]:
    """All that was restored, as values that are equal where every bit is."""
    variables, moments, progress, meta = restored
    leaves = jax.tree.leaves_with_path((variables, moments))
    arrays = [(str(path), leaf.dtype.str, leaf.shape, leaf.tobytes()) for path, leaf in leaves]
    return [*arrays, repr(progress), repr(meta)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Flipped bits in a checkpoint, each of which has to be noticed.")
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    total = Counts()
    with tempfile.TemporaryDirectory() as folder:
        for name, found in sorted(flip(arguments.flips, arguments.seed, Path(folder), watch=True).items()):
            total.add(found)
            print(f"{name:40} {found}")
    print(f"{'all':40} {total}")


if __name__ == "__main__":
    main()
