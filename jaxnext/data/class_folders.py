"""Labels from the folders that images lie in: a folder for each class; or none."""

from collections.abc import Sequence

import numpy as np

from jaxnext.data.class_names import check_names, like
from jaxnext.data.file_tree import FileSource, FileTree
from jaxnext.data.image_source import some
from jaxnext.data.listing import is_image
from jaxnext.errors import JaxnextError


def class_folders(tree: FileTree, classes: Sequence[str] | None = None) -> FileSource:
    """Images in a tree with one folder per class, searched to any depth, sorted by class and path.

    Args:
        tree: of class folders.
        classes: the label order to use; None: the names of the class folders, sorted as strings.

    Raises:
        JaxnextError: the folder is missing or holds no class folders or images outside of them; a class folder has no
            image (without ``classes``); a class folder is not among ``classes``; names as ``check_names`` refuses them.
    """
    folders, files, left_out = tree.list_folder()
    images = [name for name in files if is_image(name)]
    if images:
        raise JaxnextError(
            f"{tree.path}: expected only class folders, found the image {images[0]} beside them; move it into a class "
            "folder"
        )
    left_out = left_out + files
    if not folders:
        raise JaxnextError(f"{tree.path}: expected a folder with images for each class, found no folders")
    order = tuple(folders) if classes is None else tuple(classes)
    check_names(tree.path, folders)
    numbers = {name: number for number, name in enumerate(order)}
    names: list[str] = []
    labels: list[int] = []
    for folder in folders:
        if folder not in numbers:
            raise JaxnextError(
                f"{tree.path / folder}: expected one of the {len(order)} classes {some(order)}, found {folder!r}"
                f"{like(folder, order)}"
            )
        found, others = tree.list_images(folder)
        if not found and classes is None:
            raise JaxnextError(f"{tree.path / folder}: the class folder holds no images; add some or remove the folder")
        names += found
        labels += [numbers[folder]] * len(found)
        left_out += others
    if not names:
        raise JaxnextError(f"{tree.path}: the class folders hold no images")
    return tree.source(names, np.array(labels, np.int32), order, left_out)


def unlabelled(tree: FileTree) -> FileSource:
    """All images in a tree, at any depth, sorted by path, without labels.

    Raises:
        JaxnextError: there are none.
    """
    names, left_out = tree.list_images()
    if not names:
        raise JaxnextError(f"{tree.path}: found no images")
    return tree.source(names, np.full(len(names), -1, np.int32), (), left_out)
