"""Input that nobody should have to expect: what writes it into a folder, and what of jaxnext reads it there."""

import errno
import functools
import io
import json
import os
import shutil
import socket
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch_writer
from PIL import Image
from square import square
from test_checkpoint import meta_of, moments_of, variables_of

from jaxnext.config.sections import Config, DataConfig
from jaxnext.config.yaml_text import load_config
from jaxnext.data.cache.decoded import Cache
from jaxnext.data.corrupt_list import read_corrupt
from jaxnext.data.folder_source import files_source
from jaxnext.data.sources.folder import Source as FolderSource
from jaxnext.data.sources.webdataset import Source as WebDataset
from jaxnext.data.splits import OpenContext, load_splits
from jaxnext.data.verify import find_bad_images
from jaxnext.engine.checkpoint import Checkpoints, read_model
from jaxnext.errors import JaxnextError
from jaxnext.inference.calibration import read_calibration
from jaxnext.inference.rows import NamesTable, rows_of
from jaxnext.inference.sorting.journal import Journal
from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.reporting.run_facts import read_run
from jaxnext.training.fit import class_names
from jaxnext.weights.port import read_classes

Make = Callable[[Path], object]
"""Writes into a folder."""


@functools.cache
def picture(kind: str = "PNG", size: int = 8) -> bytes:
    """An image file."""
    file = io.BytesIO()
    Image.fromarray(np.arange(size * size * 3, dtype=np.uint8).reshape(size, size, 3)).save(file, kind)
    return file.getvalue()


class Case(NamedTuple):
    """Input."""

    make: Callable[[Path], Any]
    """writes it into a folder"""
    read: Callable[[Path], Any]
    """reads it there"""
    sentence: str


# What reads. Each is given the folder that a case was written into.


def images(folder: Path) -> None:
    """Every image of a folder is looked at, as ``data.verify`` has it; what it says of them is raised."""
    found = find_bad_images([files_source([folder])], square(8), Cache(), 1, lambda _: None, lambda: False)
    if found:
        raise JaxnextError("\n".join(map(str, found)))


def unreadable(folder: Path) -> None:
    """``data.path`` where a folder may not be read; root may read all."""
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        data_set(folder)


def one_image(folder: Path) -> None:
    """A file that is named on the command line."""
    files_source([folder / "x.jpg"])


def data_set(folder: Path) -> None:
    """``data.path``."""
    FolderSource().open(OpenContext(str(folder)))


def labelled(folder: Path) -> None:
    """``data.labels``, and an image of each of two classes."""
    FolderSource().open(OpenContext(str(folder / "images"), labels=str(folder / "labels.csv")))


def archive(suffix: str) -> Callable[[Path], None]:
    """``data.path`` of an archive."""
    return lambda folder: data_set(folder / f"a.{suffix}")


def one_class(folder: Path) -> None:
    """``jaxnext train``, before it makes a net."""
    settings = Config(batch_size=1, data=DataConfig(path=str(folder)))
    class_names(settings, load_splits(settings.data, 0))


def chosen_twice(folder: Path) -> None:
    """``data.classes '[a, a]'``."""
    load_splits(DataConfig(path=str(folder), classes=("a", "a")), 0)


def shards(folder: Path) -> None:
    """``data.source webdataset``."""
    WebDataset().open(OpenContext(str(folder)))


def names(folder: Path) -> None:
    """``predict --names``."""
    rows_of([folder / "images"], NamesTable(folder / "names.csv"), False, lambda line: None)


def weights(folder: Path) -> None:
    """``jaxnext port FILE``."""
    load_state_dict(folder / "net.pth")


def classes(folder: Path) -> None:
    """``jaxnext port --classes FILE_OR_FOLDER``."""
    read_classes(folder / "classes")


def model(folder: Path) -> None:
    """What every command does with ``--checkpoint``."""
    read_model(folder / "run", "last")


def resumed(folder: Path) -> None:
    """What ``train --resume auto`` does first."""
    with Checkpoints(folder / "run") as checkpoints:
        checkpoints.set_aside_damaged()
        checkpoints.restore_last(moments_of(0))


def config(folder: Path) -> None:
    """``--config FILE``."""
    load_config(folder / "c.yaml")


def run(folder: Path) -> None:
    """``jaxnext report RUN``."""
    read_run(folder)


def calibration(folder: Path) -> None:
    """``--temperature calibrated``."""
    read_calibration(folder, "best", {})


def sorted_table(folder: Path) -> None:
    """``jaxnext sort`` into a folder where there is something."""
    journal = Journal(folder)
    journal.settings()
    journal.read()


def corrupt_table(folder: Path) -> None:
    """``corrupt.csv`` of a run."""
    read_corrupt(folder / "corrupt.csv")


# What writes.


def file(name: str, content: bytes | str) -> Make:
    """One file."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def every(*makes: Make) -> Make:
    """Several, one after the other."""

    def make(folder: Path) -> None:
        for each in makes:
            each(folder)

    return make


def nothing(folder: Path) -> None:
    """There is nothing."""


def table(text: str | bytes) -> Callable[[Path], Any]:
    """``labels.csv`` beside three images, of which two have one name."""
    places = ("a.png", "b.png", "c/a.png")
    return every(*(file(f"images/{place}", picture()) for place in places), file("labels.csv", text))


def class_folders(*names: str, of: str = ".") -> Make:
    """An image in each of several folders."""
    return every(*(file(f"{of}/{name}/{i}.png", picture()) for name in names for i in range(2)))


def bare_folder(name: str) -> Make:
    """An empty folder."""
    return lambda folder: (folder / name).mkdir(parents=True)


def link(name: str, target: str) -> Make:
    """A symbolic link."""
    return lambda folder: (folder / name).symlink_to(target)


def pipe(name: str) -> Make:
    """A named pipe: who opens it waits for somebody who writes."""
    return lambda folder: os.mkfifo(folder / name)


def device(name: str) -> Make:
    """A link to a device without end."""
    return link(name, "/dev/zero")


def unix_socket(name: str) -> Make:
    """A socket, bound and closed."""

    def make(folder: Path) -> None:
        with socket.socket(socket.AF_UNIX) as open_socket:
            before = os.getcwd()  # noqa: PTH109
            # Its path may have 107 bytes.
            os.chdir(folder)
            try:
                open_socket.bind(name)
            finally:
                os.chdir(before)

    return make


def raw_name(name: bytes, content: bytes) -> Make:
    """A file whose name is no UTF-8."""
    return lambda folder: (folder / os.fsdecode(name)).write_bytes(content)


def png_of_size(width: int, height: int) -> bytes:
    """A small PNG whose header says that it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_text_bomb() -> bytes:
    """A PNG with a compressed text of 2 MB in 2 kB."""
    data = picture()
    text = b"Comment\0\0" + zlib.compress(bytes(2_000_000), 9)
    body = b"zTXt" + text
    chunk = struct.pack(">I", len(text)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def zipped(name: str, entries: list[tuple[str, bytes]], **options: Any) -> Make:
    """A zip file."""

    def make(folder: Path) -> None:
        method = options.get("method", zipfile.ZIP_DEFLATED)
        with zipfile.ZipFile(folder / name, "w", method) as archive, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Duplicate name")
            for entry, content in entries:
                info = zipfile.ZipInfo(entry)
                info.compress_type = method
                info.external_attr = options.get("mode", 0o100644) << 16
                archive.writestr(info, content)

    return make


def tarred(name: str, *entries: tuple[str, bytes, bytes, str]) -> Make:
    """A tar file of names, types, contents and targets of links."""

    def make(folder: Path) -> None:
        with tarfile.open(folder / name, "w") as archive:
            for entry, kind, content, target in entries:
                info = tarfile.TarInfo(entry)
                info.type, info.size, info.linkname = kind, len(content), target
                archive.addfile(info, io.BytesIO(content))

    return make


REGULAR = tarfile.REGTYPE
GOOD = [(f"{name}/{i}.png", picture()) for name in ("a", "b") for i in range(2)]
"""Entries of an archive of two classes."""


def changed(path: str, change: Callable[[bytes], bytes]) -> Make:
    """Change the bytes of a file that another has written."""
    return lambda folder: (folder / path).write_bytes(change((folder / path).read_bytes()))


def says_size(path: str, size: int) -> Make:
    """Have a zip's directory say of its last entry that it is so large."""

    def change(data: bytes) -> bytes:
        place = data.rindex(b"PK\x01\x02") + 24
        return data[:place] + struct.pack("<I", size) + data[place + 4 :]

    return changed(path, change)


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file of a header and what comes after it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def torch_zip(value: object, storages: dict[str, bytes] | None = None) -> bytes:
    """A file as ``torch.save`` writes it."""
    return torch_writer.zip_bytes(value, storages or {})


def owning(folder: Path) -> None:
    """A file of weights that makes another file where its pickle is run."""
    call = torch_writer.call("os", "system", f"touch {folder}/owned")
    (folder / "net.pth").write_bytes(torch_zip({"a": call}))


@functools.cache
def _checkpoint() -> dict[str, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with Checkpoints(Path(folder)) as checkpoints:
            checkpoints.save_last(7, variables_of(7), moments_of(7), {"position": 7}, meta_of(3))
        root = Path(folder)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def checkpoint(folder: Path) -> None:
    """A whole one."""
    for name, content in _checkpoint().items():
        path = folder / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


LAST = "run/checkpoints/last/7"


def meta(change: Callable[[dict[str, Any]], Any]) -> Make:
    """A checkpoint that says something else of itself."""
    return every(
        checkpoint, changed(f"{LAST}/meta/metadata", lambda data: json.dumps(change(json.loads(data))).encode())
    )


def without(path: str) -> Make:
    """A checkpoint without a part."""
    return every(checkpoint, lambda folder: shutil.rmtree(folder / path))
