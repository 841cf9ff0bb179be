"""What the tests of sorting share: a classifier that goes by an image's first byte, and a kill at any operation."""

import builtins
import io
import os

import numpy as np

from jaxnext.data.bad_image import BadImage
from jaxnext.data.loader import HostBatch
from jaxnext.inference.sorting.sort import sort_images

CLASSES = ("cat", "dog")


class ByFirstByte:
    """``c`` is a cat with 0.75, ``d`` a dog with 0.75, ``?`` a cat with 0.5; another image cannot be read."""

    classes = CLASSES
    image_size = 8

    def __init__(self):
        self.seen = []

    def stream(self, source, batch_size, workers, threads, tta):
        for first in range(0, len(source), batch_size):
            ids = np.arange(first, min(first + batch_size, len(source)))
            contents = [source.read(i) for i in ids.tolist()]
            self.seen += [source.location(i) for i in ids.tolist()]
            mask = np.array([content[:1] in (b"c", b"d", b"?") for content in contents])
            errors = tuple(BadImage(source.location(i), "no image") for i in ids[~mask].tolist())
            cats = [{b"c": 0.75, b"d": 0.25, b"?": 0.5}.get(content[:1], 0.0) for content in contents]
            found = np.array([[cat, 1 - cat] for cat in cats], np.float32)
            yield HostBatch(first, np.zeros((len(ids), 1, 1, 3), np.uint8), ids * 0, mask, ids, errors), found


def sort(data, output, mode="copy", classifier=None, **changes):
    """Sort with batches of two; return the exit status and the lines that were shown."""
    lines = []
    options = {
        "threshold": 0.6,
        "options": {"checkpoint": ["/runs/a"]},
        "batch_size": 2,
        "workers": 0,
        "cores": 1,
        "progress": lambda batches, total: batches,
    }
    given = {**options, **changes, "mode": mode, "say": lines.append, "warn": lines.append}
    return sort_images(classifier or ByFirstByte(), data, output, **given), lines


def write_data(folder):
    """Two cats of one name, a dog, a doubtful one, one that cannot be read."""
    for name, content in {
        "one/a.jpg": b"c1",
        "two/a.jpg": b"c22",
        "two/b.jpg": b"d333",
        "two/c.jpg": b"?4444",
        "two/d.jpg": b"x55555",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(folder):
    """Content of each file, target of each link, by its path below a folder, but for what records a sort."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file() and not path.name.startswith((".sorted", "sorted.")):
            found[name] = path.read_bytes().decode()
    return found


def entries(folder):
    """Names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


class Killed(BaseException):
    """What a kill leaves behind: whatever is called after it does nothing."""


class Kill:
    """Have the file system's ``at``-th change fail, and all after it, so that nothing is tidied up."""

    def __init__(self, patch, at):
        self.left, self.at = at, at
        for place, name in [
            *((os, name) for name in ("link", "symlink", "unlink", "remove", "replace", "rename", "mkdir", "rmdir")),
            *((os, name) for name in ("open", "fsync", "utime", "chmod")),
            *((io, "open"), (builtins, "open")),
        ]:
            patch.setattr(place, name, self._counted(getattr(place, name), name))

    def _counted(self, real, name):
        def counted(*arguments, **options):
            mode = options.get("mode", arguments[1] if len(arguments) > 1 else "r")
            if name != "open" or not isinstance(mode, str) or set(mode) & set("wax+"):
                self.left -= 1
                if self.left < 0:
                    raise Killed
            return real(*arguments, **options)

        return counted
