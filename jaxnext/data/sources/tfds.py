"""A prepared data set of TensorFlow Datasets, read without TensorFlow."""

import dataclasses

from jaxnext.data.image_source import some
from jaxnext.data.splits import OpenContext, Splits, split
from jaxnext.data.tfds_split import check_apart, open_tfds, tfds_source, validation_split


@dataclasses.dataclass(frozen=True)
class Source:
    """A prepared TFDS data set: the one in the folder ``data.path``, or one by its name."""

    name: str | None = None
    """name of the data set, also NAME/CONFIG:VERSION; null: the one in the folder data.path"""
    train_split: str = "train"
    """split to train on, also a part of one such as train[:80%]"""
    val_split: str | None = None
    """split for validation; null: validation or val, else a share of the training images (data.val_fraction)"""

    def open(self, context: OpenContext) -> Splits:
        """Return the images of the two splits; where there is none for validation, some are held out.

        Raises:
            UsageError: no folder is given, there are no such splits, or they share images.
            JaxnextError: the data set is not prepared, cannot be read, or is not one of labelled images.
        """
        builder = open_tfds(self.name, context.one_path(), context.tfds_folder)
        train, warnings = tfds_source(builder, self.train_split, "data.source.train_split", context.index)
        name = f"{builder.data_dir} {self.train_split}"
        missing = sorted(set(range(len(train.classes))) - set(train.labels.tolist()))
        lines = (
            [f"{name}: no images of {len(missing)} of the classes: {some(train.classes, missing)}"] if missing else []
        )
        val_split = self.val_split or validation_split(builder)
        validation = None
        if val_split is not None:
            validation, more = tfds_source(builder, val_split, "data.source.val_split", context.index)
            warnings += more
            check_apart(train, validation, self.train_split, val_split)
        remedy = "; name a split with --data.source.val_split"
        splits = split(train, name, validation, str(val_split), context, remedy)
        return splits._replace(description=(*splits.description, *lines), warnings=tuple(warnings))
