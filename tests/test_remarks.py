import io

import pytest
from PIL import Image

from jaxnext.data.remarks import lines, remarks_of


def opened(kind: str, frames: int = 1, **options: object) -> Image.Image:
    images = [Image.new("RGB", (4, 4), (100 * n, 0, 0)) for n in range(frames)]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    images[0].save(file, kind, **more, **options)
    return Image.open(file)


@pytest.mark.parametrize(
    ("kind", "frames", "options", "expected"),
    [
        ("PNG", 1, {}, ()),
        ("GIF", 1, {}, ()),
        ("GIF", 2, {}, ("frames",)),
        ("PNG", 2, {}, ("frames",)),
        ("WEBP", 2, {}, ("frames",)),
        ("TIFF", 2, {}, ("frames",)),
        ("MPO", 2, {}, ()),
        ("JPEG", 1, {"icc_profile": b"any"}, ("profile",)),
        ("TIFF", 2, {"icc_profile": b"any"}, ("frames", "profile")),
    ],
)
def test_remarks(kind: str, frames: int, options: dict[str, object], expected: tuple[str, ...]) -> None:
    assert remarks_of(opened(kind, frames, **options)) == expected


def test_lines() -> None:
    assert lines({}) == []
    assert lines({"profile": 1234, "frames": 2}) == [
        "images of several frames or pages: 2; the first of each is taken",
        "images with an ICC profile: 1,234; their colours are taken as they are stored",
    ]
