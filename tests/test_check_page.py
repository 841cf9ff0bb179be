import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from html_reader import Reader
from inspected import encoded, picture, sound, source, spoiled
from PIL import Image
from square import square

from jaxnext.data.image_source import MemorySource, Subset
from jaxnext.data.inspection import inspect
from jaxnext.data.splits import Splits
from jaxnext.errors import JaxnextError
from jaxnext.reporting.check_page import page, write_page


def test_what_is_on_the_page() -> None:
    found = Reader(page(spoiled()))
    shown = " ".join(found.texts)
    assert "Something is wrong" in shown
    assert "pets: 11 images" in shown
    assert re.search("9 for training 2 for validation 2 classes 1 cannot be read 1 duplicates across the split", shown)
    assert "cat/empty.png the file is empty" in shown
    headings = [text for text in found.texts if text.startswith(("The same", "Nearly"))]
    assert headings == [
        "Nearly the same picture, in training and in validation",
        "The same file, with different labels",
        "The same file",
    ]
    # Two of each group, five of the cats that can be read, three dogs.
    assert found.tags.count("img") == 6 + 5 + 3
    assert "gone" not in found.texts
    assert "3 for training, 1 for validation" in shown


def test_nothing_is_loaded_or_run() -> None:
    text = page(spoiled())
    found = Reader(text)
    assert {where.partition(",")[0] for where in found.loaded} == {"data:image/jpeg;base64"}
    assert not {"script", "link", "iframe"} & set(found.tags)
    assert "url(" not in text
    assert "@import" not in text
    with Image.open(io.BytesIO(base64.b64decode(found.loaded[0].partition(",")[2]))) as thumbnail:
        assert thumbnail.size == (48, 64)


def test_without_a_fault() -> None:
    shown = " ".join(Reader(page(sound())).texts)
    assert "Nothing wrong found" in shown
    assert "Duplicates" not in shown
    assert "cannot be read" in shown
    assert "reason" not in shown


def test_names_are_text() -> None:
    name, other = "<script>alert('&')</script>", os.fsdecode(b'"\xe9.png')
    data = (encoded(picture(0)), encoded(picture(0)), b"")
    train = MemorySource(data, (name, other, f"bad/{name}"), np.array([0, 0, 0], np.int32), (name,))
    validation = source([(0, "v", encoded(picture(1)))])
    found = inspect(Splits(train, validation, (name,), (name,)), square(8), 1, lambda count: None)
    text = page(found)
    reader = Reader(text)
    assert "script" not in reader.tags
    # As a line, a class and a reason's file, with the group's classes.
    assert reader.texts.count(name) == 4
    assert 'title="&quot;\\udce9.png"' in text
    assert text.encode()


def test_a_large_image_is_made_small_and_one_that_has_gone_is_said() -> None:
    class Going(Subset):
        gone = False

        def read(self, index: int) -> bytes:
            if self.gone and index == 0:
                raise FileNotFoundError(2, "No such file or directory")
            return super().read(index)

    large = encoded(picture(0).resize((300, 400)))
    train = Going(source([(0, "a", large), (0, "b", large), (1, "c", encoded(picture(1)))]), np.arange(3))
    validation = source([(1, "v", encoded(picture(2)))])
    found = inspect(Splits(train, validation, train.classes, ()), square(8), 1, lambda count: None)
    train.gone = True
    reader = Reader(page(found))
    assert reader.texts.count("gone") == 2
    with Image.open(io.BytesIO(base64.b64decode(reader.loaded[0].partition(",")[2]))) as thumbnail:
        assert thumbnail.size == (96, 128)


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_page(sound(), tmp_path / "new" / "check.html")
    assert (tmp_path / "new" / "check.html").read_text() == page(sound())
    (tmp_path / "file").touch()
    with pytest.raises(JaxnextError, match=r"file/check.html: the file cannot be written \(.*\)$"):
        write_page(sound(), tmp_path / "file" / "check.html")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["check.html", "file", "new"]
