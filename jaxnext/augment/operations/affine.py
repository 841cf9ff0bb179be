"""Rotation, shear and translation: six coefficients, made on the host, and a gather of the nearest pixel.

The matrices are those that Pillow is given, from output to input places. Rounded to 16.16 fixed point, output pixel
(x, y) shows the input pixel ``((a*x + b*y + c) >> 16, (d*x + e*y + f) >> 16)``, the nearest, or the fill where that is
outside, as ``Image.transform`` has it. ``c`` and ``f`` then include the half pixel from corner to centre.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

Matrix = tuple[float, float, float, float, float, float]
Coefficients = tuple[int, int, int, int, int, int]

NO_CHANGE: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
IDENTITY: Coefficients = (65536, 0, 32768, 0, 65536, 32768)


def rotation_coefficients(angle: float, image_size: tuple[int, int]) -> Coefficients:
    """Return ``rotation`` in fixed point, its coefficients rounded to the nearest 1/65536 as Pillow does."""
    return fixed(rotation(angle, image_size))


def rotation(angle: float, image_size: tuple[int, int]) -> Matrix:
    """Return the map from output to input places of Pillow's ``Image.rotate(angle)``.

    Sine and cosine are rounded to 15 decimals as there. At 0 and 180 degrees, of a square also at 90 and 270, the map
    is the exact copy or transposition that Pillow makes there.

    Args:
        angle: Degrees, counter-clockwise.
        image_size: Height and width in pixels.
    """
    radians = -math.radians(angle % 360.0)
    cos, sin, minus_sin = (round(value, 15) for value in (math.cos(radians), math.sin(radians), -math.sin(radians)))
    center_y, center_x = image_size[0] / 2, image_size[1] / 2
    x_offset = cos * -center_x + sin * -center_y + center_x
    y_offset = minus_sin * -center_x + cos * -center_y + center_y
    return cos, sin, x_offset, minus_sin, cos, y_offset


def shear(horizontal: float, vertical: float) -> Matrix:
    """Return the map of torchvision's ``affine`` with one shear about the upper left corner.

    Args:
        horizontal: Pixels to the left for each pixel down; 0 where ``vertical`` is not.
        vertical: Pixels up for each pixel to the right.
    """
    # torchvision takes degrees, and so does what draws them; the way there and back is part of the rounding.
    along_x, along_y = (math.radians(math.degrees(math.atan(value))) for value in (horizontal, vertical))
    a = math.cos(-along_y) / math.cos(along_y)
    b = -math.cos(-along_y) * math.tan(along_x) / math.cos(along_y)
    c = math.sin(-along_y) / math.cos(along_y)
    d = -math.sin(-along_y) * math.tan(along_x) / math.cos(along_y) + 1.0
    return d, -b, 0.0, -c, a, 0.0


def translation(right: int, down: int) -> Matrix:
    """Return the map that moves an image by whole pixels."""
    return 1.0, 0.0, float(-right), 0.0, 1.0, float(-down)


def fixed(matrix: Matrix) -> Coefficients:
    """Return a matrix in 16.16 fixed point, from the corners of output pixels to input pixels."""

    def nearest(value: float) -> int:
        return math.floor(value * 65536.0 + 0.5)

    a, b, c, d, e, f = matrix
    rows = (a, b, c + a * 0.5 + b * 0.5), (d, e, f + d * 0.5 + e * 0.5)
    first, second = (tuple(nearest(value) for value in row) for row in rows)
    return *first, *second  # pyright: ignore[reportReturnType]


def transform(packed: jax.Array, affine: jax.Array, fill: int = 0) -> jax.Array:
    """Gather the nearest of ``[H, W]`` pixels by coefficients ``[6]``, int32; outside is the packed ``fill``."""
    height, width = packed.shape
    y, x = (lax.broadcasted_iota(jnp.int32, (height, width), axis) for axis in (0, 1))
    source_x = (affine[0] * x + affine[1] * y + affine[2]) >> 16
    source_y = (affine[3] * x + affine[4] * y + affine[5]) >> 16
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    index = jnp.where(inside, source_y * width + source_x, 0)
    pixels = packed.reshape(-1).at[index].get(mode="promise_in_bounds")
    return jnp.where(inside, pixels, jnp.uint32(fill))
