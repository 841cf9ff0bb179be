import base64
import io

import numpy as np
from PIL import Image

from jaxnext.reporting.thumbnails import data_uri


def test_an_image_is_made_small() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40] = (200, 10, 10)
    kind, _, data = data_uri(image, 20, quality=90).partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert (small.size, small.format) == ((20, 10), "JPEG")
        np.testing.assert_allclose(np.asarray(small)[5, 3].astype(int), [200, 10, 10], atol=12)
    with Image.open(io.BytesIO(base64.b64decode(data_uri(image, 100, 90).partition(",")[2]))) as same:
        assert same.size == (80, 40)
