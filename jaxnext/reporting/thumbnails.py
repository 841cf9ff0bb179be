"""Small pictures that stand in a page itself."""

import base64
import io

from PIL import Image

from jaxnext.types import UInt8Image


def data_uri(image: UInt8Image, side: int, quality: int) -> str:
    """Return an image, made small, as the address of a JPEG that is the address's own text.

    Args:
        image: uint8 ``[height, width, 3]``, RGB.
        side: pixels of the longer side at most.
        quality: of the JPEG.
    """
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
