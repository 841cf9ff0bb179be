"""The original project's way to a batch: torchvision's transforms in PyTorch's ``DataLoader``.

Worker processes import this file; it imports no JAX.
"""

import contextlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROTATION, JITTER, FLIP = 45.0, 0.2, 0.2
"""Degrees, factors of brightness, contrast and saturation, probability of a flip: the original's, our defaults."""


class ImageFiles:
    """Images and labels by number, as torchvision's ``ImageFolder`` reads them."""

    def __init__(self, files: Sequence[str], labels: Sequence[int], transform: Callable[[Image.Image], Any]) -> None:
        self.files, self.labels, self.transform = files, labels, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        with open(self.files[index], "rb") as file:  # noqa: PTH123 - as torchvision does
            image = Image.open(file).convert("RGB")
        return self.transform(image), self.labels[index]


class ShuffledBatches:
    """Numbers of the images of each batch. Every pass is a new one of ``length`` batches, epoch after epoch."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.images, self.batch_size = images, batch_size
        self.length = 0
        self._random = np.random.default_rng(0)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[int]]:
        order: list[int] = []
        for _ in range(self.length):
            order = order or self._random.permutation(self.images).tolist()
            yield order[: self.batch_size]
            order = order[self.batch_size :]


class TorchLoader:
    """A ``DataLoader`` whose workers, if any, are kept from pass to pass."""

    def __init__(self, torch: Any, device: str, data: ImageFiles, batch_size: int, workers: int) -> None:
        """Args: the module; ``cpu`` or ``cuda``; the images; of a batch; processes, 0: none."""
        self.workers = workers
        self._torch, self._device = torch, device
        self._batches = ShuffledBatches(len(data), batch_size)
        with _without_warnings():
            self._loader: Any = torch.utils.data.DataLoader(
                data,
                batch_sampler=self._batches,
                num_workers=workers,
                persistent_workers=workers > 0,
                # A process with JAX's threads in it cannot be forked.
                multiprocessing_context="spawn" if workers else None,
                pin_memory=device == "cuda",
            )

    def read(self, batches: int) -> int:
        """Read that many batches, on a GPU into its memory; return the number of images."""
        self._batches.length = batches
        images = 0
        with _without_warnings():
            iterator = iter(self._loader)
        for image, _ in iterator:
            images += len(image.to(self._device, non_blocking=True))
        if self._device == "cuda":
            self._torch.cuda.synchronize()
        return images

    def close(self) -> None:
        """End the workers."""
        self._loader = None


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """PyTorch warns of more workers than cores, which may yet be the best number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def transforms(image_size: int) -> tuple[Callable[[Image.Image], Any], str]:
    """Return torchvision's transforms or, where it cannot be imported, its Pillow calls; and which."""
    try:
        from torchvision import transforms as vision  # pyright: ignore[reportMissingImports]
    except Exception as error:  # also where it is there but does not fit torch, which raises a RuntimeError
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else "cannot be imported"
        return PillowTransforms(image_size), f"by torchvision's Pillow calls, for torchvision itself {reason}"
    choice = vision.RandomChoice(
        [
            vision.RandomRotation(ROTATION),
            vision.ColorJitter(JITTER, JITTER, JITTER),
            vision.RandomHorizontalFlip(FLIP),
            vision.RandomVerticalFlip(FLIP),
        ]
    )
    resize = vision.Resize((image_size, image_size))
    composed = vision.Compose([resize, choice, vision.ToTensor(), vision.Normalize(MEAN, STD)])
    return composed, f"by torchvision {importlib.metadata.version('torchvision')}"


class PillowTransforms:
    """What torchvision's transforms do with a Pillow image: the same calls, hence the same pixels."""

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size

    def __call__(self, image: Image.Image) -> Any:
        """Resized, augmented and normalised: a tensor of float32 ``[3, size, size]``."""
        import torch  # pyright: ignore[reportMissingImports]

        image = image.resize((self.image_size, self.image_size), Image.Resampling.BILINEAR)
        image = AUGMENTATIONS[int(torch.randint(len(AUGMENTATIONS), (1,)))](torch, image)
        return normalized(torch, image)


def normalized(torch: Any, image: Image.Image) -> Any:
    """``ToTensor`` and ``Normalize``."""
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return tensor.sub_(mean).div_(std)


def rotate(torch: Any, image: Image.Image) -> Image.Image:
    """``RandomRotation``."""
    angle = float(torch.empty(1).uniform_(-ROTATION, ROTATION))
    return image.rotate(angle, Image.Resampling.NEAREST, fillcolor=(0, 0, 0))


def jitter(torch: Any, image: Image.Image) -> Image.Image:
    """``ColorJitter``, in an order that is drawn, too. Its fourth operation, the hue, is left alone."""
    order = torch.randperm(4).tolist()
    factors = [float(torch.empty(1).uniform_(1 - JITTER, 1 + JITTER)) for _ in range(3)]
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for operation in order:
        if operation < 3:
            image = enhancers[operation](image).enhance(factors[operation])
    return image


def flip_horizontally(torch: Any, image: Image.Image) -> Image.Image:
    """``RandomHorizontalFlip``."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(1) < FLIP else image


def flip_vertically(torch: Any, image: Image.Image) -> Image.Image:
    """``RandomVerticalFlip``."""
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if torch.rand(1) < FLIP else image


AUGMENTATIONS = (rotate, jitter, flip_horizontally, flip_vertically)
"""One of which is drawn for each image, as ``RandomChoice`` does."""
