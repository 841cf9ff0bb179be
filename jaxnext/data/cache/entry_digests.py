"""Digests of the entries of a decoded cache, by which a damaged disk is noticed on request.

    FOLDER/digests.bin   [n] of the stamp of an entry, int64, and the SHA-256 of its pixels

A digest counts only with the stamp of the entry: those that an earlier version has stored have none.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxnext.file_digests import Checked

FILE = "digests.bin"
RECORD = np.dtype([("stamp", "<i8"), ("digest", "V32")])


def record(stamp: int, pixels: Any) -> bytes:
    """Return what the file holds of an entry; ``pixels``: its bytes."""
    return stamp.to_bytes(8, "little", signed=True) + hashlib.sha256(pixels).digest()


def caches(folder: Path) -> list[Path]:
    """Return the decoded caches in a folder, which may be one itself."""
    if (folder / "cache.json").is_file():
        return [folder]
    return sorted(file.parent for file in folder.glob("*/cache.json"))


def check_cache(folder: Path) -> Iterator[Checked]:
    """Read a decoded cache whole: the sizes of its files, and of each entry that has reached the disk its pixels.

    A run may be filling it.

    Args:
        folder: of one cache.
    """
    noted = folder / "cache.json"
    try:
        about = json.loads(noted.read_bytes())
        count, (height, width) = int(about["count"]), (int(side) for side in about["pixels"]["size"])
        if min(count, height, width) < 0:
            raise ValueError
    except OSError as error:
        yield Checked(str(noted), f"the file cannot be read ({error.strerror or error})")
        return
    except (ValueError, KeyError, TypeError):
        yield Checked(str(noted), "expected the description of a decoded cache, found another")
        return
    size = height * width * 3
    sizes = {"pixels.bin": count * size, "stamps.bin": 8 * count, "durable.bin": 8 * count}
    if (folder / FILE).exists():
        sizes[FILE] = count * RECORD.itemsize
    problems = [
        Checked(str(folder / name), f"expected {expected:,} bytes, found {found:,}")
        for name, expected in sizes.items()
        if (found := (folder / name).stat().st_size if (folder / name).exists() else 0) != expected
    ]
    yield from problems or _check_entries(folder, count, size)


def _check_entries(folder: Path, count: int, size: int) -> Iterator[Checked]:
    digests = np.zeros(count, RECORD)
    if (folder / FILE).exists():
        digests = np.fromfile(folder / FILE, RECORD)
    durable = np.fromfile(folder / "durable.bin", "<i8")
    whole = unknown = 0
    try:
        with (folder / "pixels.bin").open("rb") as pixels, (folder / "stamps.bin").open("rb") as stamps:
            for number in np.flatnonzero(durable).tolist():
                stamp = int(durable[number])
                if digests["stamp"][number] != stamp:
                    unknown += 1
                    continue
                pixels.seek(number * size)
                found = record(stamp, pixels.read(size))
                stamps.seek(8 * number)
                # Another process may just have stored it anew.
                if int.from_bytes(stamps.read(8), "little", signed=True) != stamp:
                    continue
                if found == digests[number].tobytes():
                    whole += 1
                    continue
                expected = digests["digest"][number].tobytes().hex()
                problem = f"expected the SHA-256 {expected}, found {found[8:].hex()}; delete the folder {folder}"
                yield Checked(f"{folder / 'pixels.bin'}: image {number}", problem)
    except OSError as error:
        yield Checked(str(folder / "pixels.bin"), f"the file cannot be read ({error.strerror or error})")
        return
    note = f", {unknown:,} without a digest, which an earlier version stored" if unknown else ""
    yield Checked(f"{folder}: {whole:,} of {count:,} images{note}", None)
