import io
import sys

import numpy as np
import pytest
from PIL import Image
from square import square

from jaxnext.data import heif
from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.decode import decode

HEADER = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEADER, True),
        (HEADER.replace(b"ftypheic", b"ftypmif1"), True),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", False),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", False),
        (b"\xff\xd8\xff\xe0", False),
        (b"", False),
    ],
)
def test_by_content(data: bytes, expected: bool) -> None:
    assert heif.is_heif(data) is expected


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heif.register.cache_clear()
    with pytest.raises(CorruptImage) as error:
        decode(HEADER, square(1))
    assert str(error.value) == (
        "a HEIC image, which needs pillow-heif: pip install 'jaxnext[heif]' (or pip install pillow-heif)"
    )


def test_with_the_extra_it_is_decoded() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    heif.register.cache_clear()
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 100, 50))).save(file, quality=90)
    image = decode(file.getvalue(), square(1))
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - [200, 100, 50]).max() <= 4
