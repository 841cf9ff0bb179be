"""Class folders of images, in folders or archives: ``train/`` and, optionally, ``val/``; or one flat folder of them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.data.archive import SUFFIXES, open_tree
from jaxnext.data.class_folders import class_folders, unlabelled
from jaxnext.data.class_names import check_across
from jaxnext.data.file_tree import FileSource, FileTree
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
        found = [_Found.at(tree, not context.hold_out) for tree in trees]
        check_across([(each.name, each.train.classes) for each in found])
        train: ImageSource = found[0].train if len(found) == 1 else JoinedSource([each.train for each in found])
        parts = [source for each in found for _, source in each.validation]
        name = " and ".join(each.name for each in found)
        validation = _one(parts, len(found), train.classes)
        names = " and ".join(path for each in found for path, _ in each.validation)
        splits = split(train, name, validation, names, context, "; add val/")
        tests = [each.test for each in found if each.test is not None]
        return splits._replace(
            test=_one(tests, len(found), train.classes),
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
    test: FileSource | None
    lines: list[str]
    warnings: list[str]

    @classmethod
    def at(cls, tree: FileTree, with_test: bool) -> "_Found":
        layout = find_layout(tree)
        if layout.train is tree:
            check_flat(tree)
        train = class_folders(layout.train)
        trees, sources = [layout.train], [train]
        if layout.validation is not None:
            trees.append(layout.validation)
            sources.append(class_folders(layout.validation, train.classes))
        test = None
        if layout.test is not None and with_test:
            labelled = bool(layout.test.list_folder()[0])
            test = class_folders(layout.test, train.classes) if labelled else unlabelled(layout.test)
            trees.append(layout.test)
            sources.append(test)
        lines = [f"{layout.test.path}: {len(test):,} images for testing"] if layout.test and test else []
        lines += [
            f"{each.path}: {line}"
            for each, source in zip(trees, sources, strict=True)
            if (line := describe_left_out(source.left_out))
        ]
        # test/ is expected beside the others, and read by predict.
        lines += [f"{tree.path}: left out {some(layout.unread)}"] * bool(layout.unread)
        warnings = [line for each in dict.fromkeys([tree, *trees]) for line in each.keep()]
        validation = () if layout.validation is None else ((str(layout.validation.path), sources[1]),)
        return cls(str(layout.train.path), train, validation, test, lines, warnings)


def _one(sources: Sequence[ImageSource], folders: int, classes: Sequence[str]) -> ImageSource | None:
    """The images of some of the folders as one source; with several the classes are those of all."""
    if folders > 1 and sources:
        return JoinedSource(sources, classes)
    return sources[0] if sources else None


def open_trees(context: OpenContext) -> list[FileTree]:
    """Return the folders and archives of ``data.path``.

    Raises:
        UsageError: none is given, one is given twice, or is not local.
        JaxnextError: one is not there, or is neither a folder nor an archive.
    """
    paths = (context.path,) if isinstance(context.path, str) else context.path
    if not paths:
        raise UsageError("data.path: expected the folder that holds train/, found null; give --data.path FOLDER")
    resolved = [_resolved(path) for path in paths]
    twice = next((path for path, real in zip(paths, resolved, strict=True) if resolved.count(real) > 1), None)
    if twice is not None:
        raise UsageError(f"data.path: expected each folder once, found {twice} twice")
    return [_tree(path, context.index) for path in paths]


def _resolved(path: str) -> Path:
    try:
        return Path(path).resolve()
    except ValueError as error:
        raise UsageError(f"data.path: expected a path, found one with a null character: {path[:80]!a}") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: pathlib's, of a link that leads to itself
        raise JaxnextError(f"data.path {path}: expected a folder, found a link in a circle") from error


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
