import asyncio
from typing import Any

import numpy as np
import pytest
from asgi import FakeNet, image_file, png, png_header, service
from PIL import Image

from jaxnext.data.bad_image import CorruptImage, TooManyPixels
from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.inference.serving.refusal import Refusal
from jaxnext.inference.serving.service import Service, Wanted, decoded
from jaxnext.inference.serving.upload import Upload

WANTED = Wanted(top_k=1, explain=None)
SMALL = Pixels((8, 6))


def answers(served: Service, *uploads: Upload, wanted: Wanted = WANTED) -> Any:
    async def run() -> Any:
        async with served.running():
            with served.memory() as memory:
                return await served.answers(list(uploads), wanted, memory)

    return asyncio.run(run())


def test_images_are_seen_as_in_training() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 4), np.uint8), "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (
        image_file(picture, "PNG", exif=exif),
        image_file(picture.convert("RGB"), "JPEG", exif=exif),
        image_file(picture.convert("RGB"), "TIFF"),
        image_file(picture, "WEBP", lossless=True),
    ):
        found = decoded(data, SMALL, 600)
        np.testing.assert_array_equal(found, resize(decode(data, SMALL), SMALL))


@pytest.mark.parametrize(
    ("data", "kind", "sentence"),
    [
        (png(size=(30, 20)), TooManyPixels, "30x20 pixels are more than the limit of 599"),
        (png_header(100_000, 100_000), TooManyPixels, None),
        (png()[:-30], CorruptImage, None),
        (b"<!DOCTYPE html>", CorruptImage, "not an image that Pillow can read"),
        (image_file(Image.new("L", (4, 4)), "TGA"), CorruptImage, "not an image that Pillow can read"),
        (image_file(Image.new("L", (4, 4)), "PCX"), CorruptImage, "not an image that Pillow can read"),
    ],
)
def test_images_that_cannot_be_read(data: bytes, kind: type, sentence: str | None) -> None:
    found = decoded(data, SMALL, 599)
    assert type(found) is kind
    assert str(found) == sentence or sentence is None


def test_images_without_memory() -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxnext.inference.serving.service.decode", full)
        assert type(decoded(png(), SMALL, 600)) is TooManyPixels


def test_the_queue_has_places_for_so_many() -> None:
    served = service(queue=2)
    with pytest.raises(Refusal, match="too many images wait"):
        answers(served, *[Upload("a", png())] * 3)
    found = answers(served, Upload("a", png()), Upload("b", b""))
    assert [each.get("label") for each in found] == ["red", None]


def test_memory_is_free_once_images_are_decoded() -> None:
    during = []

    class Noting(FakeNet):
        def probabilities(self, images: Any, batch_size: int) -> Any:
            during.append((memory.taken, len(uploads)))
            return super().probabilities(images, batch_size)

    served = service(Noting())
    memory, uploads = served._bytes, [Upload("a", png())]

    async def run() -> None:
        async with served.running():
            with served.memory() as share:
                share.take(100)
                await served.answers(uploads, WANTED, share)

    asyncio.run(run())
    assert during == [(0, 0)]
    assert memory.taken == 0


def test_warm() -> None:
    net = FakeNet()
    served = service(net)
    assert not served.is_warm
    served.warm()
    assert served.is_warm
    assert net.batches == [(1, 1), (4, 4)]
