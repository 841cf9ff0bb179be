"""Class folders of images below one folder: ``train/`` and, optionally, ``val/``."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.folder_source import FolderSource, check_other_folders, class_folder_source
from jaxnext.data.image_source import some
from jaxnext.data.listing import describe_left_out, list_folder
from jaxnext.data.splits import OpenContext, Splits, describe, hold_out
from jaxnext.errors import JaxnextError, UsageError


@dataclasses.dataclass(frozen=True)
class Source:
    """Class folders of images under ``data.path``; without options."""

    def open(self, context: OpenContext) -> Splits:
        """Return the images of ``train/`` and ``val/``; without ``val/`` some of ``train/`` are held out.

        Raises:
            UsageError: ``data.path`` is not given, or no local folder.
            JaxnextError: the folders are not as expected, or hold too few images to split.
        """
        root = _root(context.path)
        folders, files, hidden = list_folder(root)
        if "train" not in folders:
            found = some([*(f"{name}/" for name in folders), *files]) or "an empty folder"
            raise JaxnextError(f"data.path {root}: expected train/ with a folder for each class in it, found {found}")
        train, warnings = _indexed(root / "train", None, context.index)
        others = [name for name in folders if name not in ("train", "val", "test")]
        if "val" in folders:
            validation, more = _indexed(root / "val", train.classes, context.index)
            warnings += more
            lines = describe(train, str(root / "train"), validation, str(root / "val"))
            splits = Splits(train, validation, train.classes, (*lines, *_left_out(train), *_left_out(validation)))
        else:
            check_other_folders(root, others, train.classes)
            splits = hold_out(train, str(root / "train"), context, "; add val/")
            splits = splits._replace(description=(*splits.description, *_left_out(train)))
        # test/ is expected beside the others, and read by predict.py.
        unread = [*(f"{name}/" for name in others), *files, *hidden]
        left_out = (f"{root}: left out {some(unread)}",) if unread else ()
        return splits._replace(description=splits.description + left_out, warnings=tuple(warnings))


def _root(path: str | None) -> Path:
    if path is None:
        raise UsageError("data.path: expected the folder that holds train/, found null; give --data.path FOLDER")
    if "://" in path:
        raise UsageError(
            f"data.path: expected a local folder of images, found {path}; in a bucket only packed ones are read, "
            "with --data.source tfds"
        )
    root = Path(path)
    if not root.exists():
        raise JaxnextError(f"data.path {root}: no such folder; give the one that holds train/ with --data.path FOLDER")
    if not root.is_dir():
        raise JaxnextError(f"data.path {root}: expected the folder that holds train/, found a file")
    return root


def _indexed(path: Path, classes: Sequence[str] | None, store: Path | None) -> tuple[FolderSource, list[str]]:
    """A folder of class folders, listed with the help of its index, and what is to be said of that."""
    if store is None:
        return class_folder_source(path, classes), []
    index = FolderIndex(store, path)
    source = class_folder_source(path, classes, index)
    index.save()
    return source, index.lines


def _left_out(source: FolderSource) -> list[str]:
    line = describe_left_out(source.left_out)
    return [f"{source.roots[0]}: {line}"] if line else []
