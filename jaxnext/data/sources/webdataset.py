"""WebDataset's ``.tar`` shards on a local disk, read in any order: each is indexed once."""

import dataclasses
from pathlib import Path

from jaxnext.data.class_names import check_names, like
from jaxnext.data.image_source import some
from jaxnext.data.joined_source import JoinedSource
from jaxnext.data.splits import OpenContext, Splits, split
from jaxnext.data.tar_shards import find_shards, shard_source
from jaxnext.errors import JaxnextError, UsageError


@dataclasses.dataclass(frozen=True)
class Source:
    """Local .tar shards under ``data.path``, in which files of one name are one example."""

    label: str = "cls"
    """extension of the files with the labels, which are text whatever they look like, or json:KEY"""
    train: str | None = None
    """pattern of the shards for training, such as train-*.tar; null: those that begin with train, else all"""
    validation: str | None = None
    """pattern of the shards for validation; null: those that begin with val, valid, validation or dev"""

    def open(self, context: OpenContext) -> Splits:
        """Return the images of the shards, sorted by class and within one as the shards have them.

        Raises:
            UsageError: ``data.path`` is not given, or a pattern that no shard has.
            JaxnextError: a shard that cannot be read, or an example that is not as expected.
        """
        if not context.path:
            raise UsageError("data.path: expected the folder of .tar shards, found null; give --data.path FOLDER")
        paths = (context.path,) if isinstance(context.path, str) else context.path
        shards = find_shards(paths, self.train, self.validation)
        warnings: list[str] = []
        train = self._joined(shards.train, context, warnings)
        check_names(", ".join(paths), train.classes)
        validation = None
        if shards.validation:
            validation = self._joined(shards.validation, context, warnings)
            if unknown := sorted(set(validation.classes) - set(train.classes)):
                raise JaxnextError(
                    f"{shards.validation[0]}: expected labels that training images have, found {some(unknown)}"
                    f"{like(unknown[0], train.classes)}"
                )
            validation = JoinedSource(validation.sources, train.classes)
        where = ", ".join(paths)
        name = f"{where}: {len(shards.train):,} shards"
        splits = split(train, name, validation, f"{len(shards.validation):,} shards", context, "; add shards val-*.tar")
        lines = [f"{where}: left out {some([file.name for file in shards.left_out])}"] * bool(shards.left_out)
        return splits._replace(description=(*splits.description, *lines), warnings=tuple(warnings))

    def _joined(self, shards: list[Path], context: OpenContext, warnings: list[str]) -> JoinedSource:
        sources = []
        for path in shards:
            source, lines = shard_source(path, self.label, context.index)
            sources.append(source)
            warnings += lines
        return JoinedSource(sources)
