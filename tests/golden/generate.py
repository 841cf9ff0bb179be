"""Record what the original computes: torchvision's nets with CBAM and the fc head, and torchvision's transforms.

    PYTHONPATH=.:tests python tests/golden/generate.py

writes one .npz for each setting and net and transforms.npz beside this file, under 1 MB in all. Needs torch and
torchvision. Weights, images and labels come from their names alone (tests/named_values.py), so that the tests rebuild
them.
A second run on the same machine wrote all of them equal to the bit.
"""

import io
import pathlib
from typing import Any

import named_values
import numpy as np
import torch_runs
from golden_cases import (
    ANGLES,
    BATCHES,
    FACTORS,
    FLOAT32_DRAWS,
    KINK_FREE,
    NETS,
    ODD_SIZE,
    ORDERS,
    PICTURE_SIZES,
    RESIZED,
    SETTINGS,
    SOURCE_SIZES,
    excerpt,
    picture,
    statistics_excerpt,
)
from PIL import Image
from torch_reference import require

HERE = pathlib.Path(__file__).parent
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def sketches(tensors: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([named_values.sketch(name, array) for name, array in tensors.items()])


def one_batch(setting: str) -> dict[str, Any]:
    """Both modes of the tiny net on one batch in float64."""
    shapes = torch_runs.shapes_of(setting, tiny=True)
    weights = named_values.weights(shapes)
    images, labels = named_values.images("one batch", ODD_SIZE, KINK_FREE), named_values.labels("one batch", KINK_FREE)
    exact = torch_runs.both_modes(setting, True, "float64", weights, images, labels)
    stats = {name: value for name, value in exact.batch_stats.items() if value.ndim}
    return {
        "state": np.array([f"{name} {' '.join(map(str, shape))}" for name, shape in shapes.items()]),
        **{f"activations/{name}": excerpt(array) for name, array in exact.activations.items()},
        **{f"activation_sketch/{name}": named_values.sketch(name, a) for name, a in exact.activations.items()},
        "evaluation": exact.evaluation,
        "training": exact.training,
        "loss": exact.loss,
        "gradient_names": np.array(list(exact.gradients)),
        "gradient_sketches": sketches(exact.gradients),
        "statistics_names": np.array(list(stats)),
        "statistics": np.stack([statistics_excerpt(array) for array in stats.values()]),
        "statistics_sketches": sketches(stats),
    }


def float32_errors(setting: str) -> dict[str, Any]:
    """For each of ``FLOAT32_DRAWS`` the larger error of PyTorch's two memory layouts: in each leaf, and in all."""
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny=True))
    leaves, whole = [], []
    for draw in FLOAT32_DRAWS:
        images, labels = named_values.images(draw[0], ODD_SIZE, draw[1]), named_values.labels(*draw)
        near = {name: n for name, n in torch_runs.kinks(setting, True, weights, images).items() if n}
        if near:
            raise SystemExit(
                f"{setting}: float32 may fall on the other side of a kink, choose another than {draw}: {near}"
            )
        exact = torch_runs.both_modes(setting, True, "float64", weights, images, labels).gradients
        rounded = torch_runs.float32_gradients(setting, True, weights, images, labels)
        errors = [torch_runs.gradient_errors(own, exact) for own in rounded]
        leaves.append([max(own[name] for own in errors) for name in exact])
        whole.append(max(np.linalg.norm(list(own.values())) for own in errors))
    return {"gradient_float32_errors": np.array(leaves), "gradient_float32_error": np.array(whole)}


def twenty_steps(setting: str) -> dict[str, Any]:
    """The tiny net's 20 steps of Adam in float64."""
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny=True))
    batches = [(named_values.images(name), named_values.labels(name)) for name in BATCHES]
    made = torch_runs.descent(setting, True, weights, batches)
    if not made.learning_rates[7] == made.learning_rates[0] > made.learning_rates[-1]:
        raise SystemExit(f"{setting}: expected a reduction mid-way, found learning rates {made.learning_rates}")
    stats = {name: value for name, value in made.batch_stats.items() if value.ndim}
    return {
        "steps/losses": np.array(made.losses),
        "steps/learning_rates": np.array(made.learning_rates),
        "steps/norms": np.array([list(norms.values()) for norms in made.norms]),
        "steps/sketches": sketches(made.params),
        "steps/statistics_sketches": sketches(stats),
    }


def full_size(setting: str) -> dict[str, Any]:
    """The full-size net's activations and logits in evaluation mode, float64."""
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny=False))
    images, labels = named_values.images("full size"), named_values.labels("full size")
    exact = torch_runs.both_modes(setting, False, "float64", weights, images, labels)
    return {
        "full/state": np.array([f"{name} {' '.join(map(str, a.shape))}" for name, a in weights.items()]),
        **{f"full/activations/{name}": excerpt(array) for name, array in exact.activations.items()},
        **{f"full/activation_sketch/{name}": named_values.sketch(name, a) for name, a in exact.activations.items()},
        "full/evaluation": exact.evaluation,
    }


def encode(image: Image.Image, kind: str) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, kind)
    return np.frombuffer(file.getvalue(), np.uint8)


def files() -> dict[str, np.ndarray]:
    """One small picture in each colour mode that a PNG, or a TIFF for CMYK, can hold."""
    found = {}
    for mode in ("RGB", "L", "LA", "P", "RGBA", "CMYK", "1", "I;16"):
        height, width = SOURCE_SIZES[mode]
        plain = Image.fromarray(picture(f"mode {mode}", height, width))
        if mode == "I;16":
            image = Image.fromarray(np.asarray(plain.convert("L")).astype(np.uint16) * 257)
        elif mode in ("LA", "RGBA"):
            image = plain.convert(mode)
            image.putalpha(Image.fromarray(picture(f"alpha {mode}", height, width)[:, :, 0]))
        elif mode == "P":
            image = plain.quantize(32)
        else:
            image = plain.convert(mode)
        found[mode] = encode(image, "TIFF" if mode == "CMYK" else "PNG")
    return found


def pictures() -> dict[str, np.ndarray]:
    """torchvision's transforms on Pillow images, with fixed parameters."""
    transforms = require()[1].transforms
    found: dict[str, np.ndarray] = {}
    for mode, data in files().items():
        found[f"file/{mode}"] = data
        converted = Image.open(io.BytesIO(data.tobytes())).convert("RGB")
        for size in RESIZED:
            found[f"resize/{mode}/{size}"] = np.asarray(transforms.Resize((size, size))(converted))
    for size in PICTURE_SIZES:
        image = Image.fromarray(picture("square", size, size))
        found[f"rotation/{size}"] = np.stack([np.asarray(transforms.RandomRotation((a, a))(image)) for a in ANGLES])
        found[f"jitter/{size}"] = np.stack(
            [np.asarray(torch_runs.jitter(f, o)(image)) for f, o in zip(FACTORS, ORDERS, strict=True)]
        )
        found[f"horizontal_flip/{size}"] = np.asarray(transforms.RandomHorizontalFlip(1.0)(image))
        found[f"vertical_flip/{size}"] = np.asarray(transforms.RandomVerticalFlip(1.0)(image))
    normalise = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    image = Image.fromarray(picture("square", PICTURE_SIZES[0], PICTURE_SIZES[0]))
    found["normalize"] = normalise(image).numpy().transpose(1, 2, 0)
    return found


def main() -> None:
    torch, torchvision = require()
    torch.set_num_threads(2)
    for setting in SETTINGS:
        recorded = one_batch(setting) | float32_errors(setting) | twenty_steps(setting) | full_size(setting)
        np.savez_compressed(HERE / f"{setting}.npz", **recorded)
        print(f"{setting}: {(HERE / f'{setting}.npz').stat().st_size:,} bytes")
    for net in NETS:
        np.savez_compressed(HERE / f"{net}.npz", **one_batch(net))
        print(f"{net}: {(HERE / f'{net}.npz').stat().st_size:,} bytes")
    np.savez_compressed(HERE / "transforms.npz", **pictures())
    size = sum(file.stat().st_size for file in HERE.glob("*.npz"))
    print(f"{size:,} bytes in all, from torch {torch.__version__} and torchvision {torchvision.__version__}")


if __name__ == "__main__":
    main()
