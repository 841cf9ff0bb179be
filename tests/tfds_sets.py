"""Small prepared TFDS data sets of any features, written without TensorFlow."""

from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from array_record.python import array_record_module

F = tfds.features


def plain_features(names: tuple[str, ...] = ("cat", "dog")) -> dict[str, Any]:
    return {"image": F.Image(), "label": F.ClassLabel(names=list(names)), "file_name": F.Text()}


def example(number: int, label: int) -> dict[str, Any]:
    return {"image": b"image %d" % number, "label": label, "file_name": f"{number}.jpg"}


def write_set(
    data_dir: Path,
    splits: dict[str, list[list[dict[str, Any]]]],
    features: dict[str, Any] | None = None,
    *,
    name: str = "pets",
    config: str | None = None,
    version: str = "1.0.0",
    file_format: str = "array_record",
    **info: Any,
) -> Path:
    """A data set of the given examples, by split and shard, in the folder that TFDS gives it below ``data_dir``."""
    folder = data_dir / name / (config or ".") / version
    folder.mkdir(parents=True)
    known = F.FeaturesDict(features or plain_features())
    infos = []
    for split, shards in splits.items():
        for number, examples in enumerate(shards):
            file = folder / f"{name}-{split}.{file_format}-{number:05d}-of-{len(shards):05d}"
            writer = array_record_module.ArrayRecordWriter(str(file), "group_size:1")
            for values in examples:
                writer.write(known.serialize_example(values))
            writer.close()
        infos.append(tfds.core.SplitInfo(name=split, shard_lengths=[len(s) for s in shards], num_bytes=1))
    identity = tfds.core.DatasetIdentity(
        name, tfds.core.Version(version), str(folder), module_name="", config_name=config
    )
    described = tfds.core.DatasetInfo(builder=identity, description="", features=known, **info)
    described.set_file_format(file_format)
    described.set_splits(tfds.core.SplitDict(infos))
    described.write_to_directory(str(folder))
    return folder


def two_shards(images: int, begin: int = 0, classes: int = 2) -> list[list[dict[str, Any]]]:
    """Examples numbered from ``begin``, in two shards, their labels in turn."""
    examples = [example(number, number % classes) for number in range(begin, begin + images)]
    return [examples[: images // 2], examples[images // 2 :]]
