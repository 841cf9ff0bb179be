import subprocess
import sys
from pathlib import Path

import pytest

from jaxnext.config import sections as config
from jaxnext.config.sections import DataConfig
from jaxnext.data import sources
from jaxnext.data.splits import load_splits
from jaxnext.errors import UsageError


def test_a_path_that_the_source_does_not_read_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        load_splits(DataConfig(source=config.SOURCES.choose("digits"), path="my images"), 0)
    assert str(error.value) == (
        "data.path: expected no value, since data.source digits does not read it, found 'my images'; "
        "leave it out, or set --data.source folder"
    )


SOURCES = sorted(file.stem for file in Path(sources.__path__[0]).glob("[!_]*.py"))


def test_sources_are_imported_in_no_time() -> None:
    code = f"import sys, {', '.join(f'jaxnext.data.sources.{name}' for name in SOURCES)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(SOURCES) >= 3
    assert not {"jax", "tensorflow_datasets", "sklearn", "grain", "array_record"} & set(loaded)
