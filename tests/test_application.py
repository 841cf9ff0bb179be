import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgi import FORM, Answer, FakeNet, ask, form, image_file, png, png_header, running, service
from PIL import Image


def answered(question: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """What an application with these limits answers to a question."""

    async def run() -> Any:
        async with running(service(**options)) as app:
            return await question(app)

    return asyncio.run(run())


def predicted(*files: tuple[str, bytes], query: str = "", **options: Any) -> Answer:
    body, headers = form(*files)
    return answered(lambda app: ask(app, "/predict", body, headers=headers, query=query), **options)


def test_files_of_a_form_are_answered_in_their_order() -> None:
    found = predicted(("a.png", png("red")), ("<b>ü.png", png("blue")), query="top_k=2")
    assert found.status == 200
    assert found.headers["content-type"] == "application/json"
    assert found.json == {
        "results": [
            {
                "name": "a.png",
                "known": True,
                "label": "red",
                "top": [{"label": "red", "probability": 0.999877}, {"label": "green", "probability": 0.000061}],
            },
            {
                "name": "<b>ü.png",
                "known": True,
                "label": "<b>blue",
                "top": [{"label": "<b>blue", "probability": 0.999877}, {"label": "red", "probability": 0.000061}],
            },
        ]
    }


def test_a_body_that_is_an_image() -> None:
    found = answered(lambda app: ask(app, "/predict", png("lime"), headers={"content-type": "image/png"}))
    assert (found.status, found.json["results"][0]["label"]) == (200, "green")
    assert len(found.json["results"][0]["top"]) == 3


def test_below_the_threshold_it_is_unknown() -> None:
    for colour, label, known in (("#804020", "unknown", False), ("#c02010", "red", True)):
        (found,) = predicted(("a.png", png(colour)), threshold=0.6).json["results"]
        assert (found["label"], found["known"], found["top"][0]["label"]) == (label, known, "red")


def test_where_it_looks() -> None:
    (found,) = predicted(("a.png", png("red")), query="explain=gradcam").json["results"]
    assert found["explanation"]["image"].startswith("data:image/jpeg;base64,/9j/")
    assert (found["explanation"]["method"], found["explanation"]["label"]) == ("gradcam", "red")
    refused = predicted(("a.png", png("red")), query="explain=cbam")
    assert (refused.status, refused.json) == (422, {"error": "explain: expected gradcam, found 'cbam'"})


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("top_k=0", "top_k: expected a whole number from 1 to 3, found '0'"),
        ("top_k=4", "top_k: expected a whole number from 1 to 3, found '4'"),
        ("top_k=%C2%B2", "top_k: expected a whole number from 1 to 3, found '²'"),
        ("topk=1", "expected the parameters top_k and explain only, found 'topk'"),
    ],
)
def test_parameters_that_are_none(query: str, sentence: str) -> None:
    found = predicted(("a.png", png()), query=query)
    assert (found.status, found.json) == (422, {"error": sentence})


def test_images_that_cannot_be_read() -> None:
    whole = image_file(Image.linear_gradient("L"), "JPEG")
    html = b"<!DOCTYPE html><script>alert(1)</script>"
    bomb = png_header(6000, 6000)
    for data, status, sentence in (
        (html, 422, "the image cannot be read (not an image that Pillow can read)"),
        (whole[:-500], 422, "the image cannot be read (image file is truncated (5 bytes not processed))"),
        (b"", 422, "the image cannot be read (the file is empty)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", 422, "the image cannot be read (not an image that Pillow can read)"),
        (bomb, 413, "the image cannot be read (6000x6000 pixels are more than the limit of 10000000)"),
    ):
        found = predicted(("a.jpg", data), max_pixels=10_000_000)
        failure = {"name": "a.jpg", "error": sentence, "status": status}
        assert (found.status, found.json) == (status, {"error": sentence, "results": [failure]})
        # One of several does not keep the others from being answered.
        found = predicted(("a.jpg", data), ("b.png", png("lime")), max_pixels=10_000_000)
        assert found.status == 200
        assert found.json["results"][0] == failure
        assert found.json["results"][1]["label"] == "green"
    # 30,000 x 200 are no more than a photograph has.
    assert predicted(("long.png", png("lime", (30_000, 200)))).json["results"][0]["label"] == "green"


def test_what_is_answered_beside_images() -> None:
    async def question(app: Any) -> dict[str, Answer]:
        paths = ("/", "/predict", "/healthz", "/metrics", "/no", "/openapi.json")
        asked = {path: await ask(app, path) for path in paths}
        return asked | {"text": await ask(app, "/predict", b"{}", headers={"content-type": "application/json"})}

    found = answered(question)
    assert {path: answer.status for path, answer in found.items()} == {
        "/": 200,
        "/predict": 405,
        "/healthz": 503,
        "/metrics": 200,
        "/no": 404,
        "/openapi.json": 200,
        "text": 415,
    }
    assert found["/predict"].headers["allow"] == "POST"
    assert found["/predict"].json == {"error": "/predict: this address does not take such a request"}
    assert found["/no"].json == {"error": "/no: there is nothing at this address"}
    assert found["/healthz"].json == {"status": "warming"}
    assert found["text"].json == {
        "error": "expected the content type multipart/form-data or image/..., found application/json"
    }
    assert b'jaxnext_requests_total{path="/",status="200"} 1.0' in found["/metrics"].body


def test_health_and_stopping() -> None:
    served = service()

    async def run() -> list[Answer]:
        async with running(served) as app:
            before = await ask(app, "/healthz")
            served.stopping = True
            body, headers = form(("a.png", png()))
            return [before, await ask(app, "/healthz"), await ask(app, "/predict", body, headers=headers)]

    served.is_warm = True
    before, during, refused = asyncio.run(run())
    assert (before.status, before.json) == (200, {"status": "ok"})
    assert (during.status, during.json) == (503, {"status": "stopping"})
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert refused.json == {"error": "the server is about to stop"}


def test_the_rate_of_an_address() -> None:
    async def question(app: Any) -> list[Answer]:
        body, headers = form(("a.png", png()))
        addresses = ("10.0.0.1", "10.0.0.1", "10.0.0.2")
        return [await ask(app, "/predict", body, headers=headers, address=address) for address in addresses]

    found = answered(question, rate=0.1)
    assert [answer.status for answer in found] == [200, 429, 200]
    assert found[1].headers["retry-after"] in ("9", "10")
    assert "connection" not in found[1].headers


def test_two_hundred_at_once_are_all_answered() -> None:
    """Some hostile, more than the queue has place for; the batches are full and of few sizes."""
    net = FakeNet()
    cut = image_file(Image.new("L", (64, 64)), "JPEG")[:-9]
    hostile = {"html": b"<html>", "bomb": png_header(4000, 4000), "cut": cut}

    async def question(app: Any) -> list[Answer]:
        requests = []
        for number in range(200):
            kind = ("good", "good", "html", "bomb", "cut", "slow", "gone")[number % 7]
            body, headers = form(("a", hostile.get(kind, png("lime"))))
            chunks = (body[:50],) if kind in ("slow", "gone") else (body,)
            more = {"ends": kind not in ("slow", "gone"), "is_gone": kind == "gone"}
            requests.append(ask(app, "/predict", *chunks, headers=headers, **more))
        return await asyncio.gather(*requests)

    found = answered(question, net=net, queue=100, max_files=4, max_pixels=1_000_000, body_seconds=0.3)
    statuses = [answer.status for answer in found]
    assert len(statuses) == 200
    assert set(statuses) == {200, 400, 408, 413, 422, 503}
    assert [statuses.count(status) for status in (400, 408)] == [28, 28]
    assert statuses.count(200) + statuses.count(413) + statuses.count(422) == 100
    assert all(answer.json["results"][0]["label"] == "green" for answer in found if answer.status == 200)
    assert {size for _, size in net.batches} <= {1, 4}
    assert sum(count for count, _ in net.batches) == statuses.count(200)


def test_a_defect_is_no_secret_and_no_end() -> None:
    class Broken(FakeNet):
        def probabilities(self, images: Any, batch_size: int) -> Any:
            if len(self.batches) == 0:
                self.batches.append((1, 1))
                raise ArithmeticError("secret")
            return super().probabilities(images, batch_size)

    async def question(app: Any) -> Answer:
        body, headers = form(("a.png", png()))
        with pytest.raises(ArithmeticError):
            await ask(app, "/predict", body, headers=headers)
        return await ask(app, "/predict", body, headers=headers)

    assert answered(question, net=Broken()).status == 200


def test_the_form_header_is_needed() -> None:
    found = answered(lambda app: ask(app, "/predict", b"x", headers=FORM))
    assert found.status == 422
