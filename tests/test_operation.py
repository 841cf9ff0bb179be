import jax
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from pixel_cases import assert_pixels, pillow, random_images
from torch_reference import require

from jaxnext.augment.operations import operation as module
from jaxnext.augment.operations.affine import fixed, rotation
from jaxnext.augment.operations.magnitudes import narrow, wide
from jaxnext.augment.operations.operation import NAMES, UNSIGNED, Operation, Operations, batch, operation

SIZE = (23, 30)
FORMULATIONS = {
    "sequential": jax.jit(module.apply_sequentially, static_argnames="fill"),
    "vectorized": jax.jit(module.apply_vectorized, static_argnames="fill"),
}


def cases() -> list[tuple[str, float]]:
    """Every operation at its strongest, weakest and another strength, in both directions: 60."""
    found = []
    for name in (*NAMES, "Invert"):
        strengths = wide(name, 31) or [0.0] * 31
        sign = 1 if name in UNSIGNED else -1
        found += [(name, strengths[30]), (name, sign * strengths[17]), (name, sign * strengths[30])]
        found.append((name, (narrow(name, 31, SIZE) or [0.0] * 31)[9]))
    return found


def rows_of(chosen: list[tuple[str, float]], interpolated: bool = False) -> Operations:
    """Each operation, and then one that does nothing."""
    return batch([[operation(*case, SIZE), operation("Identity", 0.0, SIZE)] for case in chosen], interpolated)


def test_parameters_by_hand() -> None:
    assert operation("Identity", 5.0, SIZE) == Operation(module.NOTHING)
    assert operation("ShearX", 0.5, SIZE).kind == module.AFFINE
    assert fixed(operation("ShearX", 0.5, SIZE).matrix) == (65536, 32768, 49152, 0, 65536, 32768)
    assert operation("TranslateY", -3.9, SIZE) == Operation(module.AFFINE, (1, 0, 0, 0, 1, 3))
    assert operation("Rotate", -30.0, SIZE) == Operation(module.AFFINE, rotation(-30.0, SIZE))
    assert operation("Color", -0.25, SIZE) == Operation(module.SATURATION, factor=0.75)
    assert operation("Sharpness", 0.9, SIZE) == Operation(module.SHARPNESS, factor=1.9)
    assert operation("Posterize", 3.0, SIZE) == Operation(module.LEVELS, mask=0b11100000)
    assert operation("Posterize", 8.0, SIZE).mask == 255
    assert operation("Solarize", 0.5, SIZE) == Operation(module.LEVELS, threshold=128)
    assert operation("Solarize", 1.0, SIZE).threshold == 255
    assert operation("Invert", 0.0, SIZE).threshold == 0


def test_a_batch_has_an_array_of_each_parameter() -> None:
    rows = batch([[operation("Color", 0.5, SIZE), operation("Equalize", 0.0, SIZE)]] * 3)
    assert rows._fields == ("kind", "affine", "factor", "threshold", "mask")
    assert [(values.shape, values.dtype) for values in rows] == [
        ((3, 2), np.int32),
        ((3, 2, 6), np.int32),
        ((3, 2), np.float32),
        ((3, 2), np.int32),
        ((3, 2), np.int32),
    ]
    assert rows.kind[0].tolist() == [module.SATURATION, module.EQUALIZE]
    assert batch([[], []]).affine.shape == (2, 0, 6)
    assert batch([[], []], interpolated=True).affine.shape == (2, 0, 7, 2)


@pytest.mark.parametrize("formulation", ["sequential", pytest.param("vectorized", marks=pytest.mark.slow)])
def test_pixels_equal_pillows(formulation: str) -> None:
    enhancers = {"Brightness": "Brightness", "Color": "Color", "Contrast": "Contrast", "Sharpness": "Sharpness"}
    plain = {"AutoContrast": ImageOps.autocontrast, "Equalize": ImageOps.equalize, "Invert": ImageOps.invert}

    def expected(image: Image.Image, name: str, magnitude: float) -> Image.Image:
        if name in enhancers:
            return getattr(ImageEnhance, enhancers[name])(image).enhance(1.0 + magnitude)
        if name in plain:
            return plain[name](image)
        if name == "Posterize":
            return ImageOps.posterize(image, int(magnitude))
        if name == "Solarize":
            return ImageOps.solarize(image, 255.0 * magnitude)  # pyright: ignore[reportArgumentType]
        if name == "Rotate":
            return image.rotate(magnitude)
        matrix = {
            "ShearX": (1, magnitude, 0, 0, 1, 0),
            "ShearY": (1, 0, 0, magnitude, 1, 0),
            "TranslateX": (1, 0, -int(magnitude), 0, 1, 0),
            "TranslateY": (1, 0, 0, 0, 1, -int(magnitude)),
        }.get(name, (1, 0, 0, 0, 1, 0))
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)

    chosen = cases()
    images = random_images(len(chosen), *SIZE)
    found = FORMULATIONS[formulation](images, rows_of(chosen))
    assert_pixels(found, [expected(image, *case) for image, case in zip(pillow(images), chosen, strict=True)], chosen)


@pytest.mark.parametrize(
    ("formulation", "interpolation", "fill"),
    [
        ("sequential", "nearest", (9, 130, 250)),
        ("sequential", "bilinear", (0, 0, 0)),
        pytest.param("vectorized", "bilinear", (9, 130, 250), marks=pytest.mark.slow),
    ],
)
def test_pixels_equal_torchvisions(formulation: str, interpolation: str, fill: tuple[int, int, int]) -> None:
    require()
    from torchvision.transforms import v2

    chosen = cases()
    transform = v2.RandAugment(interpolation=v2.InterpolationMode(interpolation), fill=list(fill))
    images = random_images(len(chosen), *SIZE, seed=1)
    expected = [
        transform._apply_image_or_video_transform(image, *case, transform.interpolation, transform._fill)
        for image, case in zip(pillow(images), chosen, strict=True)
    ]
    rows = rows_of(chosen, interpolation == "bilinear")
    found = FORMULATIONS[formulation](images, rows, fill=fill[0] | fill[1] << 8 | fill[2] << 16)
    assert_pixels(found, expected, chosen)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("formulation", ["sequential", pytest.param("vectorized", marks=pytest.mark.slow)])
def test_operations_of_a_row_are_applied_in_order(formulation: str) -> None:
    invert, darken = operation("Invert", 0.0, SIZE), operation("Brightness", -0.5, SIZE)
    images = np.full((len(cases()), *SIZE, 3), 55, np.uint8)
    found = FORMULATIONS[formulation](images, batch([[invert, darken], [darken, invert]] * (len(images) // 2)))
    assert np.unique(found[::2]).tolist() == [100]
    assert np.unique(found[1::2]).tolist() == [228]


def test_no_operation() -> None:
    images = random_images(3, *SIZE)
    np.testing.assert_array_equal(jax.jit(module.apply)(images, batch([[]] * 3)), images)
