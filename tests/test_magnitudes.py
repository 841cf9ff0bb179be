import pytest
from torch_reference import require

from jaxnext.augment.operations import magnitudes
from jaxnext.augment.operations.operation import NAMES


def test_by_hand() -> None:
    assert magnitudes.linear(1.0, 3) == [0.0, 0.5, 1.0]
    assert magnitudes.linear(0.0, 5, 1.0) == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert magnitudes.wide("TranslateX", 5) == [0.0, 8.0, 16.0, 24.0, 32.0]
    assert magnitudes.wide("Posterize", 7) == [8, 7, 6, 5, 4, 3, 2]
    assert magnitudes.narrow("Posterize", 10, (8, 8)) == [8, 8, 7, 7, 6, 6, 5, 5, 4, 4]
    assert magnitudes.narrow("TranslateY", 2, (331, 8)) == [0.0, 150.0]
    assert magnitudes.narrow("TranslateX", 2, (8, 662)) == [0.0, 300.0]
    assert magnitudes.narrow("Rotate", 3, (8, 8)) == [0.0, 15.0, 30.0]
    # In single precision.
    assert magnitudes.wide("ShearX", 31)[1] == 0.032999999821186066  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize("name", ["Identity", "AutoContrast", "Equalize", "Invert"])
def test_operations_without_magnitude(name: str) -> None:
    assert magnitudes.wide(name, 31) is None
    assert magnitudes.narrow(name, 31, (8, 8)) is None


def test_equal_torchvisions() -> None:
    require()
    from torchvision.transforms import v2

    size = (224, 300)
    for kind, own in (
        (v2.TrivialAugmentWide, lambda name, bins: magnitudes.wide(name, bins)),
        (v2.RandAugment, lambda name, bins: magnitudes.narrow(name, bins, size)),
        (v2.AutoAugment, lambda name, bins: magnitudes.narrow(name, bins, size)),
    ):
        assert set(NAMES) - {"Identity"} <= set(kind._AUGMENTATION_SPACE)
        for name, (values, _) in kind._AUGMENTATION_SPACE.items():
            for bins in (2, 3, 10, 11, 31, 64):
                expected = values(bins, *size)
                expected = None if expected is None else [float(value) for value in expected]
                assert own(name, bins) == expected, (kind.__name__, name, bins)
