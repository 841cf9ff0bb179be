"""Images of a folder or archive as a TFDS data set in ``array_record`` files, which TFDS reads as one of its own."""

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxnext.atomic import whole_file
from jaxnext.data.bad_image import BadImage
from jaxnext.data.image_source import ImageSource
from jaxnext.data.packing.digest import contents_of
from jaxnext.data.packing.plan import Shard, dataset_name, find_splits, plan_shards
from jaxnext.data.packing.shards import ShardReport, features_of, pack_shard
from jaxnext.data.pixels import Pixels
from jaxnext.data.splits import OpenContext
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.file_digests import sha256, write_sums
from jaxnext.folder_lock import locked

VERSION = "1.0.0"
_REPORTS = "reports"


class Outcome(NamedTuple):
    """What packing has come to."""

    folder: Path
    """of the data set"""
    corrupt: tuple[BadImage, ...] | None
    """images that cannot be decoded; None where an earlier call had finished"""
    finished: bool
    """whether the data set is there"""


def pack(
    context: OpenContext,
    output: Path,
    *,
    name: str | None,
    pixels: Pixels | None,
    on_corrupt: Literal["stop", "skip"],
    threads: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[int], AbstractContextManager[Any]],
) -> Outcome:
    """Packs images in folders or archives, with the splits that they have: of those for training none are held out.

    The data set is in ``output/NAME/1.0.0`` and appears there whole or not at all. Its examples are an image, a label
    and a file name, in the order in which class folders are listed. Killed half-way, the next call goes on with the
    shards that are finished; what comes out is the same to the byte. Every image is decoded, to know that it can be.

    Args:
        context: where the images and their labels are.
        output: folder that receives the folder of the data set.
        name: of the data set; None: the folder's or archive's, in small letters, other signs than letters and digits
            being ``_``.
        pixels: None: the bytes of the files; else images are decoded and resized by these rules, as for training, and
            stored as PNG.
        on_corrupt: what is done where images cannot be decoded: ``stop``: the data set is not finished; ``skip``: they
            are left out.
        threads: that decode.
        say: shows a line to the user.
        warn: the same, for what went wrong.
        progress: given the number of images, a context manager with a progress bar whose ``update`` counts them.

    Raises:
        UsageError: a name that TFDS does not take, or the output holds another data set of this name.
        JaxnextError: the folders are not as expected; a file or class name that TFDS cannot store; a split without an
            image that can be decoded; the output cannot be written; another process that packs into it.
    """
    name = dataset_name(context.path, name)
    sources, lines, warnings = find_splits(context)
    for line in lines:
        say(line)
    for line in warnings:
        warn(line)
    shards = plan_shards(name, sources, pixels)
    target = output / name / VERSION
    work = target.with_name(f"incomplete.{VERSION}")
    with locked(target.parent, "packing into"):
        if target.exists():
            return _already(target, pixels, shards, threads, progress, say)
        try:
            (work / _REPORTS).mkdir(parents=True, exist_ok=True)
            reports: list[ShardReport] = []
            with progress(sum(map(len, sources.values()))) as bar:
                for shard in shards:
                    reports.append(_finished(work, shard) or _pack(work, shard, threads, bar.update, warn))
                    if reports[-1].reused:
                        bar.update(len(shard.numbers))
                        for image in reports[-1].corrupt:
                            warn(str(image))
            corrupt = tuple(image for report in reports for image in report.corrupt)
            if reused := sum(report.reused for report in reports):
                say(f"{work}: {reused} of {len(shards)} shards were finished by an earlier call")
            if corrupt and on_corrupt == "stop":
                return Outcome(target, corrupt, finished=False)
            _remove_others(work, shards)
            _write_metadata(work, name, pixels, sources, shards, reports)
            work.replace(target)
            shutil.rmtree(target / _REPORTS, ignore_errors=True)
        except OSError as error:
            raise JaxnextError(f"{output}: the data set cannot be written ({error.strerror or error})") from error
        return Outcome(target, corrupt, finished=True)


def _already(
    target: Path,
    pixels: Pixels | None,
    shards: list[Shard],
    threads: int,
    progress: Callable[[int], AbstractContextManager[Any]],
    say: Callable[[str], None],
) -> Outcome:
    """Whether the data set that is there is of these images. All of them are read: nothing less tells."""
    try:
        found = json.loads((target / "metadata.json").read_text(encoding="utf-8"))
        noted = ((found["image_size"], found.get("pixels")), found["contents"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        noted = None
    same = noted is not None and noted[0] == _noted(pixels) and set(noted[1]) == {shard.file for shard in shards}
    if noted is not None and same:
        with progress(sum(len(shard.numbers) for shard in shards)) as bar, ThreadPoolExecutor(threads) as executor:
            contents = executor.map(lambda shard: contents_of(shard.source, shard.numbers), shards)
            for shard, content in zip(shards, contents, strict=True):
                same = same and content == noted[1][shard.file]
                bar.update(len(shard.numbers))
    if not same:
        raise UsageError(
            f"{target}: holds a data set of other images or another --image_size or other options, or one of an "
            "earlier version; remove it, or give another --name or --output"
        )
    # Left by a call that was killed at its very end.
    shutil.rmtree(target / _REPORTS, ignore_errors=True)
    say(f"{target}: packed already")
    return Outcome(target, None, finished=True)


def _noted(pixels: Pixels | None) -> tuple[int | list[int] | None, dict[str, Any] | None]:
    """What the metadata say of how images were resized: the size, as one number of a square, and all rules."""
    if pixels is None:
        return None, None
    height, width = pixels.size
    return height if height == width else [height, width], pixels.to_json()


def _pack(
    work: Path, shard: Shard, threads: int, count: Callable[[int], Any], warn: Callable[[str], None]
) -> ShardReport:
    report = pack_shard(work / shard.file, shard, threads, count, lambda image: warn(str(image)))
    with whole_file(work / _REPORTS / f"{shard.file}.json") as file:
        json.dump({**report._asdict(), "reused": True, "digest": shard.digest}, file)
    return report


def _finished(work: Path, shard: Shard) -> ShardReport | None:
    """The report of a shard that an earlier call has finished from the same images."""
    try:
        found = json.loads((work / _REPORTS / f"{shard.file}.json").read_text(encoding="utf-8"))
        if found.pop("digest") != shard.digest or sha256(work / shard.file) != found["sha256"]:
            return None
        corrupt = [BadImage(name, reason) for name, reason in found.pop("corrupt")]
        return ShardReport(corrupt=corrupt, **found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _remove_others(work: Path, shards: list[Shard]) -> None:
    """Shards of an earlier call for other images, and what a call that was killed left half-written."""
    mine = {shard.file for shard in shards}
    for path in work.iterdir():
        if "array_record" in path.name and path.name not in mine:
            path.unlink()


def _write_metadata(
    work: Path,
    name: str,
    pixels: Pixels | None,
    sources: Mapping[str, ImageSource],
    shards: list[Shard],
    reports: list[ShardReport],
) -> None:
    """TFDS's files beside the shards: features, class names, splits; and the digests of all."""
    import tensorflow_datasets as tfds

    splits = []
    for split in sources:
        own = [report for shard, report in zip(shards, reports, strict=True) if shard.split == split]
        if not any(report.images for report in own):
            count = len(sources[split])
            raise JaxnextError(f"{work}: none of the {count:,} images of the split {split} can be decoded")
        lengths, size = [report.images for report in own], sum(report.bytes for report in own)
        splits.append(tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=size))
    classes = sources["train"].classes
    kept = "as the files hold them" if pixels is None else f"resized to {pixels.size[1]}x{pixels.size[0]} pixels"
    image_size, rules = _noted(pixels)
    checksums = {shard.file: report.sha256 for shard, report in zip(shards, reports, strict=True)}
    skipped = sum(len(report.corrupt) for report in reports)
    identity = tfds.core.DatasetIdentity(name, tfds.core.Version(VERSION), str(work), module_name="")
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=f"Images of {len(classes)} classes, {kept}, packed by prepare_data.py of jaxnext.",
        features=features_of(classes, pixels),
        supervised_keys=("image", "label"),
        disable_shuffling=True,
        metadata=tfds.core.MetadataDict(
            image_size=image_size,
            pixels=rules,
            contents={shard.file: report.contents for shard, report in zip(shards, reports, strict=True)},
            skipped=skipped,
            sha256=checksums,
        ),
    )
    info.set_file_format("array_record")
    info.set_splits(tfds.core.SplitDict(splits))
    info.write_to_directory(str(work))
    write_sums(work, checksums)
