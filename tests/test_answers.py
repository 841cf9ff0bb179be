import base64
import io

import numpy as np
import pytest
from PIL import Image

from jaxnext.inference.serving.answers import answer, explanation

CLASSES = ("cat", "dog\udce9", "<b>")


def test_the_likeliest_first() -> None:
    found = answer("a.jpg", CLASSES, np.array([0.25, 0.6250004, 0.125], np.float32), 2, None)
    assert found == {
        "name": "a.jpg",
        "known": True,
        "label": "dog\\udce9",
        "top": [{"label": "dog\\udce9", "probability": 0.625}, {"label": "cat", "probability": 0.25}],
    }


@pytest.mark.parametrize(
    ("threshold", "label", "known"), [(None, "cat", True), (0.5, "cat", True), (0.500001, "unknown", False)]
)
def test_below_the_threshold(threshold: float | None, label: str, known: bool) -> None:
    found = answer("a", CLASSES, np.array([0.5, 0.25, 0.25]), 1, threshold)
    assert (found["label"], found["known"]) == (label, known)
    assert found["top"] == [{"label": "cat", "probability": 0.5}]


def test_the_map_is_a_picture() -> None:
    values = np.tile(np.array([0.2, 0.2, 0.4, 0.4]), (4, 1))
    pictures = {}
    for method in ("gradcam", "cbam"):
        found = explanation(np.zeros((4, 4, 3), np.uint8), values, method, "cat")
        assert (found["method"], found["label"]) == (method, "cat")
        kind, _, data = found["image"].partition(",")
        assert kind == "data:image/jpeg;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert picture.size == (256, 256)
        pictures[method] = np.asarray(picture).astype(int)
    # That of CBAM reaches from the least to the largest value, which is red.
    assert pictures["cbam"][128, 250].argmax() == 0
    assert pictures["gradcam"][128, 250].argmax() != 0
