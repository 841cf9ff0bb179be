import itertools
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest
import torch_reference
from benchmarks import torch_loader
from benchmarks.torch_loader import ImageFiles, PillowTransforms, ShuffledBatches, TorchLoader
from PIL import Image

from jaxnext.augment.original import Augmentation
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD

torch = pytest.importorskip("torch")


def photograph() -> Image.Image:
    rough = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((61, 45), Image.Resampling.BICUBIC)


def test_the_settings_are_this_projects() -> None:
    ours = Augmentation()
    assert (ours.rotation, ours.brightness, ours.contrast, ours.saturation) == (torch_loader.ROTATION, 0.2, 0.2, 0.2)
    assert (ours.horizontal_flip, ours.vertical_flip) == (torch_loader.FLIP, torch_loader.FLIP)
    assert torch_loader.JITTER == 0.2
    assert (torch_loader.MEAN, torch_loader.STD) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(
    ("ours", "name", "settings"),
    [
        (torch_loader.rotate, "RandomRotation", (45,)),
        (torch_loader.jitter, "ColorJitter", (0.2, 0.2, 0.2)),
        (torch_loader.flip_horizontally, "RandomHorizontalFlip", (0.2,)),
        (torch_loader.flip_vertically, "RandomVerticalFlip", (0.2,)),
    ],
)
def test_augmentations_are_torchvisions(ours, name, settings) -> None:
    _, torchvision = torch_reference.require()
    theirs = getattr(torchvision.transforms, name)(*settings)
    image, results = photograph(), set()
    for seed in range(12):
        torch.manual_seed(seed)
        expected = np.asarray(theirs(image))
        torch.manual_seed(seed)
        np.testing.assert_array_equal(np.asarray(ours(torch, image)), expected)
        results.add(expected.tobytes())
    assert len(results) > 1


def test_resize_and_normalisation_are_torchvisions(monkeypatch) -> None:
    _, torchvision = torch_reference.require()
    transforms = torchvision.transforms
    normalize = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    theirs = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor(), normalize])
    monkeypatch.setattr(torch_loader, "AUGMENTATIONS", (lambda torch, image: image,))
    found = PillowTransforms(32)(photograph())
    assert (found.dtype, found.is_contiguous()) == (torch.float32, True)
    assert torch.equal(found, theirs(photograph()))


def test_torchvision_is_used_where_it_can_be() -> None:
    torch_reference.require()
    composed, whose = torch_loader.transforms(32)
    assert whose.startswith("by torchvision 0.")
    resize, choice, *_ = composed.transforms
    assert [type(t).__name__ for t in composed.transforms] == ["Resize", "RandomChoice", "ToTensor", "Normalize"]
    assert resize.size == (32, 32)
    assert list(map(str, choice.transforms))[2:] == ["RandomHorizontalFlip(p=0.2)", "RandomVerticalFlip(p=0.2)"]
    assert composed(photograph()).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("module", "reason"), [(None, "is not installed"), (object(), "cannot be imported")], ids=["missing", "broken"]
)
def test_without_torchvision(module, reason, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", module)
    transform, whose = torch_loader.transforms(16)
    assert isinstance(transform, PillowTransforms)
    assert whose == f"by torchvision's Pillow calls, for torchvision itself {reason}"


def test_each_augmentation_is_drawn(monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        torch_loader, "AUGMENTATIONS", tuple(lambda torch, image, n=n: seen.append(n) or image for n in range(4))
    )
    torch.manual_seed(0)
    for _ in range(40):
        PillowTransforms(8)(photograph())
    assert set(seen) == {0, 1, 2, 3}


def test_batches_are_shuffled_epoch_after_epoch() -> None:
    batches = ShuffledBatches(5, 2)
    assert list(batches) == []
    batches.length = 6
    passed = list(batches)
    assert list(map(len, passed)) == [2, 2, 1, 2, 2, 1]
    first, second = (list(itertools.chain(*part)) for part in (passed[:3], passed[3:]))
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert first != second
    assert len(batches) == 6


def images_in(folder: Path, count: int) -> ImageFiles:
    files = [str(folder / f"{number}.png") for number in range(count)]
    for number, file in enumerate(files):
        Image.new("RGB", (4, 3), (number, 0, 0)).save(file)
    return ImageFiles(files, list(range(count)), torch_loader.PillowTransforms(8))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("error")
def test_loader(workers: int, tmp_path: Path, monkeypatch) -> None:
    # Or PyTorch warns of more workers than cores.
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(), raising=False)
    data = images_in(tmp_path, 5)
    image, label = data[3]
    assert (image.shape, label) == ((3, 8, 8), 3)
    loader = TorchLoader(torch, "cpu", data, 2, workers)
    assert loader.read(4) == 2 + 2 + 1 + 2
    processes = multiprocessing.active_children()
    assert len(processes) == workers
    assert loader.read(1) == 2
    # The same, not new ones.
    assert multiprocessing.active_children() == processes
    loader.close()
    assert multiprocessing.active_children() == []
