"""Which folders of a data set hold the images for training and for validation, by their names."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxnext.data.file_tree import FileTree
from jaxnext.data.image_source import some
from jaxnext.data.listing import is_image
from jaxnext.errors import JaxnextError, printable

TRAIN = ("train",)
VALIDATION = ("val", "valid", "validation", "dev")
TEST = ("test",)


class Layout(NamedTuple):
    """The folders of a data set."""

    train: FileTree
    """its folders are the classes"""
    validation: FileTree | None
    test: FileTree | None
    unread: tuple[str, ...]
    """folders (with a slash), files and hidden entries beside them, which are not read"""


def find_layout(tree: FileTree) -> Layout:
    """Return where the images of a data set are: in ``train/`` and the like, or in a flat folder of class folders.

    Names count in any case. Where there is no ``train/``, the folder's own folders are the classes.

    Raises:
        JaxnextError: neither is there, two folders could be meant, or a folder looks like the validation images.
    """
    folders, files, hidden = tree.list_folder()
    train, validation, test = (_named(tree, folders, names) for names in (TRAIN, VALIDATION, TEST))
    if train is None:
        if (split := validation or test) is not None:
            raise JaxnextError(f"{tree.path}: expected train/ beside {printable(split)}/, found none")
        return Layout(tree, None, None, ())
    inner = tree.below(train)
    others = [name for name in folders if name not in (train, validation, test)]
    if validation is None:
        check_other_folders(tree, others, inner.list_folder()[0])
    return Layout(
        inner,
        tree.below(validation) if validation is not None else None,
        tree.below(test) if test is not None else None,
        (*(f"{name}/" for name in others), *files, *hidden),
    )


def _named(tree: FileTree, folders: Sequence[str], names: Sequence[str]) -> str | None:
    """The folder of one of the names; of several the one that is written exactly so, the first of them."""
    for name in names:
        if name in folders:
            return name
    found = [folder for folder in folders if folder.casefold() in names]
    if len(found) > 1:
        raise JaxnextError(f"{tree.path}: expected one folder {names[0]}/, found {some([f'{n}/' for n in found])}")
    return found[0] if found else None


def check_flat(tree: FileTree) -> None:
    """Refuse to take a folder's own folders for the classes where there are not even two.

    Raises:
        JaxnextError: says what was found, and what would do.
    """
    folders, files, _ = tree.list_folder()
    if len(folders) > 1:
        return
    tables = [name for name in files if name.lower().endswith((".csv", ".tsv"))]
    images = [name for name in files if is_image(name)]
    found = some([*(f"{name}/" for name in folders), *files]) or "an empty folder"
    if images and not folders:
        found = f"no folders and {len(images):,} images: {some(images)}"
    remedy = f"; read labels with --data.labels {printable(tables[0])}" if tables else ""
    raise JaxnextError(
        f"data.path {tree.path}: expected train/ with a folder for each class in it, or a folder for each of two "
        f"classes or more, found {found}{remedy}"
    )


def check_other_folders(tree: FileTree, others: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse a folder that looks like the validation images, where there is no ``val/``.

    Args:
        tree: that holds ``train/``.
        others: folders beside it that are not read.
        classes: of the training images.

    Raises:
        JaxnextError: one of them has a folder of one of the classes.
    """
    for other in others:
        try:
            inner = set(tree.below(other).list_folder()[0])
        except JaxnextError:  # it may not be looked into
            continue
        if inner.intersection(classes):
            raise JaxnextError(
                f"{tree.path}: expected val/ beside train/, or no other folder with the same classes, found {other}/; "
                "did you mean val/? rename it, or move it away to have part of train/ held out"
            )
