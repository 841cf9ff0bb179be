"""Data sets as the library ``datasets`` reads them: folders of Parquet or Arrow files, or names on the Hub."""

import dataclasses
import functools
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.class_names import check_names, like
from jaxnext.data.image_source import file_identity, label_numbers, some, stamp_of
from jaxnext.data.splits import OpenContext, Splits, split
from jaxnext.errors import JaxnextError, UsageError, one_line

_VALIDATION = ("validation", "val", "valid", "dev")


@dataclasses.dataclass(frozen=True)
class Source:
    """Data sets of the library datasets (pip install 'jaxnext[hf]')."""

    name: str | None = None
    """name of a data set on the Hugging Face Hub; null: the one in the folder data.path"""
    subset: str | None = None
    """configuration of the data set, where it has several"""
    train_split: str = "train"
    """split to train on"""
    val_split: str | None = None
    """split for validation; null: validation, val, valid or dev, else some training images are held out"""
    image_column: str | None = None
    """column with the images; null: the only one of images"""
    label_column: str | None = None
    """column with the labels; null: label, labels, class, target or category, else the only one of class labels"""

    def open(self, context: OpenContext) -> Splits:
        """Return the images of the two splits, in the order of their rows; some held out where there is one.

        Raises:
            UsageError: the library is not installed, no data set is named, or no such split or column.
            JaxnextError: the data set cannot be read, or is not one of labelled images.
        """
        found = self._load(context)
        where = self.name or str(context.one_path())
        train = self._source(found, self.train_split, "train_split", where)
        val_split = self.val_split or next((name for name in _VALIDATION if name in found), None)
        validation = None
        if val_split is not None:
            validation = self._source(found, val_split, "val_split", where, train.classes)
        name = f"{where} {self.train_split}"
        return split(train, name, validation, str(val_split), context, "; name one with --data.source.val_split")

    def _load(self, context: OpenContext) -> dict[str, Any]:
        """The data set's splits by name."""
        path = context.one_path()
        if (path is None) == (self.name is None):
            raise UsageError(
                "data.source: expected either data.path, a folder, or data.source.name, a name on the Hub, found "
                + ("neither" if path is None else "both")
            )
        library = _library()
        if path is not None and not Path(path).is_dir():
            raise JaxnextError(f"data.path {path}: no such folder; give that of Parquet or Arrow files")
        saved = path is not None and any(Path(path, name).exists() for name in ("state.json", "dataset_dict.json"))
        try:
            loaded = library.load_from_disk(path) if saved else library.load_dataset(path or self.name, self.subset)
        except Exception as error:  # the library and what it reads with raise many types
            raise JaxnextError(f"{path or self.name}: the data set cannot be read ({one_line(error)})") from error
        return dict(loaded) if isinstance(loaded, dict) else {self.train_split: loaded}

    def _source(
        self, found: dict[str, Any], name: str, key: str, where: str, classes: tuple[str, ...] | None = None
    ) -> "HuggingFaceSource":
        library = _library()
        if name not in found:
            raise UsageError(f"data.source.{key}: expected one of the splits {some(list(found))}, found {name!r}")
        data = found[name]
        kinds: dict[str, Any] = dict(data.features)
        images = [column for column, kind in kinds.items() if isinstance(kind, library.Image)]
        image = self._column("image", images, images, kinds, where)
        known = [column for column in ("label", "labels", "class", "target", "category") if column in kinds]
        labelled = [column for column, kind in kinds.items() if isinstance(kind, library.ClassLabel)]
        label = self._column("label", known[:1] or labelled, list(kinds), kinds, where)
        values = data.select_columns([label])[:][label]
        if isinstance(kinds[label], library.ClassLabel):
            names, values = tuple(kinds[label].names), [-1 if value is None else value for value in values]
            if bad := sum(not 0 <= value < len(names) for value in values):
                raise JaxnextError(f"{where} {name}: expected a label in each row, found none in {bad:,}")
            texts = [names[value] for value in values]
        else:
            bad = [v for v in values if isinstance(v, bool) or not isinstance(v, str | int) or not str(v).strip()]
            if bad:
                raise JaxnextError(
                    f"{where} {name}: expected texts or whole numbers in the column {label}, found {bad[0]!r:.80}"
                )
            texts = [str(value) for value in values]
            names = tuple(sorted(set(texts)))
        check_names(f"{where} {name}", names)
        order = names if classes is None else classes
        if unknown := sorted(set(texts) - set(order)):
            raise JaxnextError(
                f"{where} {name}: expected labels that training images have, found {some(unknown)}"
                f"{like(unknown[0], order)}"
            )
        labels = label_numbers(texts, order)
        # The bytes as they are: pixels are for the decoder that all sources share.
        stored = data.select_columns([image]).cast_column(image, library.Image(decode=False))
        files = tuple(file["filename"] for file in data.cache_files)
        return HuggingFaceSource(stored, image, f"{where} {name}", files, labels, order)

    def _column(self, what: str, guessed: list[str], allowed: list[str], kinds: dict[str, Any], where: str) -> str:
        given = self.image_column if what == "image" else self.label_column
        if given is not None and given in allowed:
            return given
        if given is None and len(guessed) == 1:
            return guessed[0]
        shown = some([f"{name} ({type(kind).__name__})" for name, kind in kinds.items()])
        raise UsageError(
            f"data.source.{what}_column: expected a column with {what}s of {where}, found {given or 'null'} and the "
            f"columns {shown}"
        )


def _library() -> Any:
    try:
        # By its name, for where it is not installed, its types are unknown, too.
        return importlib.import_module("datasets")
    except ImportError as error:
        raise UsageError(
            "data.source huggingface: expected the library datasets, found that it is not installed; pip install "
            f"'jaxnext[hf]' ({one_line(error)})"
        ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class HuggingFaceSource:
    """The images of one split."""

    data: Any
    """the library's data set, with the column of encoded images alone"""
    column: str
    where: str
    """data set and split, for messages"""
    files: tuple[str, ...]
    """that the library reads the split from; none where it is in memory"""
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    in_memory = False

    @property
    def names(self) -> tuple[str, ...]:
        """SPLIT:INDEX of each image."""
        name = self.where.rpartition(" ")[2]
        return tuple(f"{name}:{i}" for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.labels)

    def location(self, index: int) -> str:
        """Data set, split and number of one image."""
        return f"{self.where}[{index}]"

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        try:
            image = self.data[index][self.column]
        except Exception as error:  # Arrow's and the library's own
            raise OSError(one_line(error)) from error
        if image is None:
            raise OSError("there is no image in this row")
        return image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()

    def stamp(self, index: int) -> int:
        """From inode, size and times of the data set's files; ``OSError`` where one is gone."""
        return stamp_of(self._identity + b" %d" % index) if self.files else stamp_of(self.read(index))

    @functools.cached_property
    def _identity(self) -> bytes:
        # Once: the library maps the files into memory, so that what is read stays what was opened.
        return b" ".join(file_identity(os.stat(file)) for file in self.files)  # noqa: PTH116
