"""Images whose labels stand in a CSV file: the rows matched to the files, and split as the file says."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.class_names import check_names
from jaxnext.data.file_names import MISSING, SEVERAL, match
from jaxnext.data.file_tree import FileTree
from jaxnext.data.image_source import ImageSource, Subset, label_numbers, some
from jaxnext.data.layout import TEST, TRAIN, VALIDATION
from jaxnext.data.listing import describe_left_out
from jaxnext.data.splits import OpenContext, Splits, split
from jaxnext.data.table import IMAGE_COLUMNS, LABEL_COLUMNS, Column, Table, describe_columns, read_table
from jaxnext.errors import JaxnextError, UsageError

_SPLITS = {name: number for number, names in enumerate((TRAIN, VALIDATION, TEST)) for name in names}


class _Rows(NamedTuple):
    """The rows of a table that count, one for each image."""

    files: NDArray[np.int64]
    """number of each row's file"""
    rows: NDArray[np.int64]
    """number of each row in the table"""
    lines: list[str]


@dataclasses.dataclass(frozen=True, eq=False)
class _Labels:
    """A CSV file with labels, and the files that it speaks of."""

    path: Path
    table: Table
    files: list[str]
    tree: FileTree

    @property
    def names(self) -> list[str]:
        return self.table.columns[0] or []

    @property
    def labels(self) -> list[str]:
        return self.table.columns[1] or []

    def parts(self) -> NDArray[np.int64]:
        """For each row 0: training, 1: validation, 2: test.

        Raises:
            JaxnextError: the column holds something else.
        """
        column = self.table.columns[2]
        if column is None:
            return np.zeros(len(self.table), np.int64)
        known = {text: _SPLITS.get(text.strip().casefold(), -1) for text in set(column)}
        if -1 in known.values():
            unknown = sorted(text for text, number in known.items() if number < 0)
            raise JaxnextError(
                f"{self.path}: expected {', '.join(_SPLITS)} in the column {self.table.names[2]}, found "
                f"{some([repr(text) for text in unknown])}"
            )
        return np.fromiter(map(known.__getitem__, column), np.int64)

    def rows(self, labelled: NDArray[np.bool_], skip: bool) -> _Rows:
        """The rows of images that are there, one for each.

        Args:
            labelled: which rows need a label.
            skip: rows whose image is missing are left out, and are no error.

        Raises:
            JaxnextError: a label is empty, an image is missing or could be several, or is listed with two labels.
        """
        blank = {text for text in set(self.labels) if not text.strip()}
        if blank and (empty := [i for i in np.flatnonzero(labelled).tolist() if self.labels[i] in blank]):
            raise JaxnextError(
                f"{self.path}: expected a label in each row, found none in {len(empty):,} of {len(labelled):,}: "
                f"{some([self.names[i] for i in empty])}"
            )
        found = match(self.names, self.files)
        found[~labelled & (found < 0)] = MISSING
        several, missing = (np.flatnonzero((found == kind) & labelled).tolist() for kind in (SEVERAL, MISSING))
        lines: list[str] = []
        if several:
            raise JaxnextError(
                f"{self.path}: expected names of one image in {self.tree.path}, found {len(several):,} that could be "
                f"several: {some(self.names, several)}; write their paths, with extension"
            )
        if missing:
            line = f"{len(missing):,} of {len(found):,} images are not in {self.tree.path}: {some(self.names, missing)}"
            if not skip or len(missing) == len(found):
                remedy = "" if len(missing) == len(found) else "; train without them with --data.on_corrupt skip"
                raise JaxnextError(f"{self.path}: {line}{remedy}")
            lines.append(f"{self.path}: {line}; they are left out")
        return self._once(np.flatnonzero(labelled & (found >= 0)), found, lines)

    def _once(self, rows: NDArray[np.int64], found: NDArray[np.int64], lines: list[str]) -> _Rows:
        files = found[rows]
        if len(files) and np.bincount(files).max() > 1:
            files, first, inverse = np.unique(files, return_index=True, return_inverse=True)
            others = [column for column in self.table.columns[1:] if column is not None]
            clash = [
                (int(i), int(rows[first[k]]))
                for i, k in zip(rows, inverse, strict=True)
                if any(column[i] != column[rows[first[k]]] for column in others)
            ]
            if clash:
                names = [f"{self.names[i]} ({self.labels[j]} and {self.labels[i]})" for i, j in clash]
                raise JaxnextError(
                    f"{self.path}: expected each image once, found {len(clash):,} listed again with another label or "
                    f"split: {some(names)}"
                )
            again = np.delete(rows, first).tolist()
            lines.append(
                f"{self.path}: {len(again):,} images are listed twice and count once: {some(self.names, again)}"
            )
            rows = rows[first]
        listed = np.zeros(len(self.files), bool)
        listed[found[found >= 0]] = True
        if len(unlisted := np.flatnonzero(~listed)):
            lines.append(
                f"{self.tree.path}: {len(unlisted):,} images are not listed in {self.path.name} and left out: "
                f"{some(self.files, unlisted.tolist())}"
            )
        return _Rows(files, rows, lines)


def labels_file(labels: str, tree: FileTree) -> tuple[Path, bytes | None]:
    """Return the path of the file with labels: that beside the images, or else as it was given.

    Of one in an archive the content is returned, too; of others None.

    Raises:
        JaxnextError: it is in an archive, and cannot be read.
    """
    inside = tree.path / labels
    if inside.is_file():
        return inside, None
    if labels not in tree.list_folder()[1]:
        return Path(labels), None
    try:
        return inside, tree.source([labels], np.zeros(1, np.int32), ()).read(0)
    except OSError as error:
        raise JaxnextError(f"{inside}: the file cannot be read ({error})") from error


def open_labelled(tree: FileTree, labels: str, context: OpenContext) -> Splits:
    """Return the images that a CSV file lists, split by its columns ``split`` or ``fold`` or else by class.

    They are sorted by class and path, whatever the order of the rows, as those in class folders are.

    Raises:
        UsageError: a column that was given is not there.
        JaxnextError: the file or its rows are not as expected, or hold too few images to split.
    """
    path, content = labels_file(labels, tree)
    wanted = (
        Column("data.image_column", context.image_column, IMAGE_COLUMNS, "image names"),
        Column("data.label_column", context.label_column, LABEL_COLUMNS, "labels"),
        Column("", None, ("split",), "splits", needed=False),
        Column("", None, ("fold",), "folds", needed=False),
        Column("data.group_column", context.group_column, (), "groups", needed=False),
    )
    table = read_table(path, wanted, content)
    files, left_out = tree.list_images()
    if path.parent == tree.path and path.name in left_out:
        left_out.remove(path.name)
    csv = _Labels(path, table, files, tree)
    parts = csv.parts()
    if not np.any(parts < 2):
        raise JaxnextError(f"{path}: expected rows for training, found only test in the column {table.names[2]}")
    rows = csv.rows(parts < 2, context.skip_missing)
    texts = list(map(csv.labels.__getitem__, rows.rows.tolist()))
    classes = tuple(sorted(set(texts)))
    check_names(path, classes)
    ids = label_numbers(texts, classes)
    order = np.lexsort((rows.files, ids))
    source = tree.source([files[i] for i in rows.files[order].tolist()], ids[order], classes)
    splits = _split(csv, source, rows.rows[order], parts, context)
    lines = [describe_columns(path, table, wanted), *splits.description, *rows.lines]
    if tested := int(np.count_nonzero(parts == 2)):
        lines.append(f"{path}: {tested:,} rows of the test split are left out")
    if line := describe_left_out(left_out):
        lines.append(f"{tree.path}: {line}")
    return splits._replace(description=tuple(lines), warnings=tuple(tree.keep()))


def _split(
    csv: _Labels, source: ImageSource, rows: NDArray[np.int64], parts: NDArray[np.int64], context: OpenContext
) -> Splits:
    """The images by the columns of the file: of a fold, of a split, or held out."""
    _, _, _, folds, groups = csv.table.columns
    name = str(csv.path)
    ids = None if groups is None else np.unique([groups[i] for i in rows.tolist()], return_inverse=True)[1]
    if context.fold is not None and context.folds is None:
        if folds is None:
            raise UsageError(
                f"data.fold: expected data.folds, or a column fold in {csv.path}, found {context.fold} without them"
            )
        held_out = _in_fold(csv.path, [folds[i] for i in rows.tolist()], context.fold)
    elif np.any(parts == 1) and context.folds is None:
        held_out = parts[rows] == 1
    else:
        return split(source, name, None, "", context, "; add a column split", groups=ids)
    train, validation = Subset(source, np.flatnonzero(~held_out)), Subset(source, np.flatnonzero(held_out))
    if not len(train):
        raise JaxnextError(f"{csv.path}: expected images for training, found that all are for validation")
    unseen = sorted(set(validation.labels.tolist()) - set(train.labels.tolist()))
    if unseen:
        raise JaxnextError(
            f"{csv.path}: expected images for training of each class, found only images for validation of "
            f"{some(source.classes, unseen)}"
        )
    return split(train, name, validation, "its other part", dataclasses.replace(context, fold=None))


def _in_fold(path: Path, texts: Sequence[str], fold: int) -> NDArray[np.bool_]:
    """Which rows are of a fold; programs that take the column for numbers with gaps write 2.0 for 2."""
    numbers = {text: text.strip().removesuffix(".0") for text in set(texts)}
    bad = sorted(text for text, number in numbers.items() if not (number.isascii() and number.isdecimal()))
    known = sorted({int(number) for text, number in numbers.items() if text not in bad})
    if bad or fold not in known:
        found = some([repr(text) for text in bad]) if bad else f"{fold}, and folds {', '.join(map(str, known))} there"
        raise UsageError(f"data.fold: expected a number that stands in the column fold of {path}, found {found}")
    return np.array([int(numbers[text]) == fold for text in texts])
