import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import small_run
import torch_reference
from flat_config import model_config

from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import Config, DataConfig
from jaxnext.config.yaml_text import load_config
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.engine.checkpoint import Meta
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.inference.exporter import Net
from jaxnext.inference.exporters.timm import Exporter, card, described, name_of
from jaxnext.models.summary import variable_shapes
from jaxnext.normalization import normalize
from jaxnext.tree import flatten, unflatten

OF_TIMM = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "seresnext50_32x4d"),
)
NAMES = {"baseline" if name == "resnext50_32x4d" else name: name for name in OF_TIMM}
"""Of configs, and what timm calls them."""


def model_of(config: str) -> Any:
    return load_config(configs_folder() / f"{config}.yaml").model


def net_of(config: str, data: DataConfig, **meta: Any) -> Net:
    """A net with random weights of moderate activations."""
    whole, classes = Config(data=data, model=model_of(config)), ("cat", "ä", "dog")
    model, random = network(whole.model, len(classes), "float32"), np.random.default_rng(0)

    def leaf(path: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
        if path[-1] == "num_batches_tracked":
            return np.array(3, np.int32)
        if path[-1] in ("scale", "var"):
            return random.uniform(0.5, 1, shape).astype(np.float32)
        deviation = 1.4 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        return random.normal(0, deviation, shape).astype(np.float32)

    variables = unflatten({path: leaf(path, found.shape) for path, found in flatten(variable_shapes(model)).items()})
    about = Meta(whole, classes, ("backbone", "head"), **meta)
    return Net(Path("runs/x"), model, variables, classes, about, Pixels.of(data))


def test_every_net_that_timm_has() -> None:
    assert {config: name_of(model_of(config), "x") for config in NAMES} == NAMES


def test_nets_that_timm_does_not_have() -> None:
    for config, found in {"fc": "model.head fc", "cbam": "model.attention cbam"}.items():
        with pytest.raises(JaxnextError) as error:
            name_of(model_of(config), "x")
        assert str(error.value) == f"x: expected a net that timm has, found {found}"
    with pytest.raises(JaxnextError) as error:
        name_of(model_config(stage_sizes=(1, 1), widths=(4, 8), features=(8, 16), groups=2), "x")
    assert str(error.value) == (
        f"x: expected a net that timm has ({', '.join(OF_TIMM)}), found another: "
        "stages of [1, 1] blocks, 2 groups, [8, 16] features"
    )


def stand_in(data: DataConfig, **meta: Any) -> Any:
    about = Meta(Config(data=data, model=model_of("baseline")), ("cat", "ä"), ("backbone", "head"), **meta)
    return Net(Path("x"), None, {}, ("cat", "ä"), about, Pixels.of(data))  # pyright: ignore


def test_what_it_says_of_the_net() -> None:
    found = described(stand_in(DataConfig(image_size=(320, 288), resize="crop", crop_share=0.9)), "resnext50_32x4d")
    assert found == {
        "architecture": "resnext50_32x4d",
        "num_classes": 2,
        "num_features": 2048,
        "label_names": ["cat", "ä"],
        "pretrained_cfg": {
            "input_size": [3, 320, 288],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 0.9,
            "crop_mode": "center",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "num_classes": 2,
            "first_conv": "conv1",
            "classifier": "fc",
        },
    }
    stretched = described(stand_in(DataConfig(image_size=64)), "resnet18")["pretrained_cfg"]
    assert (stretched["crop_mode"], stretched["crop_pct"]) == ("squash", 1.0)


def test_the_card() -> None:
    data = DataConfig(image_size=64, path="/home/me/pets", resize="pad")
    text = card(stand_in(data, epoch=7, val_accuracy=0.9125), "resnet18")
    assert text.splitlines()[6:8] == ["license: unknown", "---"]
    assert "- Data: pets; 2 classes, named in config.json in the order of the outputs\n" in text
    assert "- Accuracy: 91.25% on the validation images, after epoch 7\n" in text
    assert "- Images: 64x64 pixels, pad, bilinear with antialiasing; timm pads with another colour than black\n" in text
    assert "- Accuracy: none on record\n" in card(stand_in(data), "resnet18")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_timm_loads_it_and_computes_the_same(tmp_path: Path) -> None:
    torch, _ = torch_reference.require()
    timm = pytest.importorskip("timm")
    net = net_of("resnet18", DataConfig(image_size=64))
    folder = tmp_path / "net"
    Exporter().write(net, folder)
    Exporter().run(net, folder, [])
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)
    normal = normalize(images, np.float32)  # pyright: ignore[reportArgumentType]
    expected = np.asarray(jax.jit(lambda v, x: net.model.apply(v, x, train=False))(net.variables, normal))
    by_file = timm.create_model("resnet18", checkpoint_path=str(folder / "model.safetensors"), num_classes=3)
    by_folder = timm.create_model(f"local-dir:{folder}", pretrained=True)
    for other in (by_file, by_folder):
        with torch.no_grad():
            found = other.eval()(torch.from_numpy(np.asarray(normal).transpose(0, 3, 1, 2).copy())).numpy()
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    data = timm.data.resolve_model_data_config(by_folder)
    picture = small_run.picture("3", 0)
    seen = timm.data.create_transform(**data)(picture).numpy().transpose(1, 2, 0)
    own = normalize(resize(np.asarray(picture), net.pixels)[None], np.float32)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(seen, own[0])
    assert json.loads((folder / "config.json").read_text())["label_names"] == ["cat", "ä", "dog"]


@pytest.mark.slow
@pytest.mark.parametrize("config", NAMES)
def test_timms_nets_have_these_tensors(config: str) -> None:
    torch, _ = torch_reference.require()
    timm = pytest.importorskip("timm")
    from jaxnext.porting.torchvision import torch_shape, weight_map

    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in timm.create_model(NAMES[config]).state_dict().items()}
    leaves = flatten(variable_shapes(network(model_of(config), 1000, "float32")))
    entries = weight_map(leaves)
    assert {
        entry.source: torch_shape(entry.transform, leaves[path].shape) for path, entry in entries.items()
    } == expected
