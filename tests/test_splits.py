import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from jaxnext.config.sections import DataConfig
from jaxnext.data import sources
from jaxnext.data.splits import load_splits
from jaxnext.errors import UsageError


@pytest.mark.parametrize(
    ("source", "name", "value", "other"),
    [
        ("digits", "path", "my images", "folder"),
        ("digits", "train_split", "train[:80%]", "tfds"),
        ("digits", "val_split", "val", "tfds"),
        ("folder", "train_split", "test", "tfds"),
        ("folder", "val_split", "val", "tfds"),
    ],
)
def test_a_setting_that_the_source_does_not_read_is_refused(source: str, name: str, value: str, other: str) -> None:
    with pytest.raises(UsageError) as error:
        load_splits(dataclasses.replace(DataConfig(source=source), **{name: value}), 0)
    assert str(error.value) == (
        f"data.{name}: expected no value, since data.source {source} does not read it, found '{value}'; "
        f"leave it out, or set --data.source {other}"
    )


SOURCES = sorted(file.stem for file in Path(sources.__path__[0]).glob("[!_]*.py"))


def test_sources_are_imported_in_no_time() -> None:
    code = f"import sys, {', '.join(f'jaxnext.data.sources.{name}' for name in SOURCES)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(SOURCES) >= 3
    assert not {"jax", "tensorflow_datasets", "sklearn", "grain", "array_record"} & set(loaded)
