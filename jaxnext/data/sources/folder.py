"""Class folders of images, in folders or archives: ``train/`` and, optionally, ``val/``; or one flat folder of them."""

import dataclasses
from pathlib import Path

from jaxnext.data.archive import SUFFIXES, open_tree
from jaxnext.data.class_folders import class_folders
from jaxnext.data.class_names import check_across
from jaxnext.data.file_tree import FileTree
from jaxnext.data.image_source import ImageSource, some
from jaxnext.data.joined_source import JoinedSource
from jaxnext.data.labelled_files import open_labelled
from jaxnext.data.layout import check_flat, find_layout
from jaxnext.data.listing import describe_left_out
from jaxnext.data.splits import OpenContext, Splits, split
from jaxnext.errors import JaxnextError, UsageError


@dataclasses.dataclass(frozen=True)
class Source:
    """Images in folders, .zip or .tar files: in class folders, or with a CSV file of labels; without options."""

    def open(self, context: OpenContext) -> Splits:
        """Return the images of ``train/`` and ``val/``; where there is no ``val/`` some of the images are held out.

        Of several folders the images are joined class by class; where one has ``val/``, nothing is held out.

        Raises:
            UsageError: ``data.path`` is not given, given twice, or no local folder or archive.
            JaxnextError: the folders are not as expected, or hold too few images to split.
        """
        trees = open_trees(context)
        if context.labels is not None:
            if len(trees) > 1:
                raise UsageError(f"data.path: expected one path with data.labels, found {len(trees)}")
            return open_labelled(trees[0], context.labels, context)
        found = [_Found.at(tree) for tree in trees]
        check_across([(each.name, each.train.classes) for each in found])
        train: ImageSource = found[0].train if len(found) == 1 else JoinedSource([each.train for each in found])
        parts = [source for each in found for _, source in each.validation]
        name = " and ".join(each.name for each in found)
        validation = None
        if parts:
            validation = parts[0] if len(found) == 1 else JoinedSource(parts, train.classes)
        names = " and ".join(path for each in found for path, _ in each.validation)
        splits = split(train, name, validation, names, context, "; add val/")
        return splits._replace(
            description=(*splits.description, *(line for each in found for line in each.lines)),
            warnings=tuple(line for each in found for line in each.warnings),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """What one folder or archive holds."""

    name: str
    train: ImageSource
    validation: tuple[tuple[str, ImageSource], ...]
    """path and images of the one folder, or none"""
    lines: list[str]
    warnings: list[str]

    @classmethod
    def at(cls, tree: FileTree) -> "_Found":
        layout = find_layout(tree)
        if layout.train is tree:
            check_flat(tree)
        train = class_folders(layout.train)
        trees, sources = [layout.train], [train]
        if layout.validation is not None:
            trees.append(layout.validation)
            sources.append(class_folders(layout.validation, train.classes))
        lines = [
            f"{each.path}: {line}"
            for each, source in zip(trees, sources, strict=True)
            if (line := describe_left_out(source.left_out))
        ]
        # test/ is expected beside the others, and read by predict.
        lines += [f"{tree.path}: left out {some(layout.unread)}"] * bool(layout.unread)
        warnings = [line for each in dict.fromkeys([tree, *trees]) for line in each.keep()]
        paths = [str(each.path) for each in trees]
        return cls(paths[0], train, tuple(zip(paths[1:], sources[1:], strict=True)), lines, warnings)


def open_trees(context: OpenContext) -> list[FileTree]:
    """Return the folders and archives of ``data.path``.

    Raises:
        UsageError: none is given, one is given twice, or is not local.
        JaxnextError: one is not there, or is neither a folder nor an archive.
    """
    paths = (context.path,) if isinstance(context.path, str) else context.path
    if not paths:
        raise UsageError("data.path: expected the folder that holds train/, found null; give --data.path FOLDER")
    resolved = [Path(path).resolve() for path in paths]
    twice = next((path for path, real in zip(paths, resolved, strict=True) if resolved.count(real) > 1), None)
    if twice is not None:
        raise UsageError(f"data.path: expected each folder once, found {twice} twice")
    return [_tree(path, context.index) for path in paths]


def _tree(path: str, store: Path | None) -> FileTree:
    if "://" in path:
        raise UsageError(
            f"data.path: expected a local folder of images, found {path}; in a bucket only packed ones are read, "
            "with --data.source tfds"
        )
    root = Path(path)
    if not root.exists():
        raise JaxnextError(f"data.path {root}: no such folder; give the one that holds train/ with --data.path FOLDER")
    if root.is_dir() or root.suffix.lower() in SUFFIXES:
        return open_tree(root, store)
    raise JaxnextError(
        f"data.path {root}: expected the folder that holds train/, or a {' or '.join(SUFFIXES)} file, found another"
    )
