import json
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors
import small_run
import torch_reference
from flat_config import model_config
from live_seed import drawn
from model_leaves import leaves_of
from tolerances import FLOAT32_PROBABILITIES_OF_TINY
from torch_writer import save_zip

from jaxnext.config.sections import Config, DataConfig
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.errors import JaxnextError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.export import export as write
from jaxnext.inference.export import read_net
from jaxnext.inference.exporter import FORMATS
from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.porting.torchvision import to_torch, weight_map
from jaxnext.tree import unflatten
from jaxnext.weights.export import check_weights, torch_tensors, trained_leaves
from jaxnext.weights.port import port_weights, read_classes

NET = {"stage_sizes": (1, 1), "widths": (4, 8), "features": (8, 16), "stem_features": 4, "groups": 2, "reduction": 16}
HIDDEN = (6, 4)
FORMS = ("pth", "safetensors")
CHECKED = "; read again, equal to the bit (PyTorch was not run)"


def small_config(setting: str, **more) -> Config:
    model = model_config(**(NET | torch_reference.SETTINGS[setting] | {"head_widths": HIDDEN}))
    return Config(data=DataConfig(image_size=16), model=model, **more)


def small_leaves(setting: str, dtype: str = "float32"):
    """Random leaves of the small net; counters are 7."""
    kind = torch_reference.SETTINGS[setting]
    hidden = HIDDEN if kind["head"] == "fc" else ()
    shapes = leaves_of((1, 1), (4, 8), (8, 16), 2, 4, kind["attention"] == "cbam", hidden)
    random = np.random.default_rng(0)
    return {
        path: np.full(shape, 7, leaf) if leaf.kind == "i" else random.normal(size=shape).astype(dtype)
        for path, (shape, leaf) in shapes.items()
    }


def save(folder: Path, leaves, meta: Meta) -> Path:
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", 0, unflatten(leaves), meta)
    return folder


def saved(folder: Path, setting: str = "baseline", names: tuple[str, ...] | None = tuple("abcde")) -> Path:
    trained = ("backbone", "attention", "head") if "cbam" in setting else ("backbone", "head")
    return save(folder, small_leaves(setting), Meta(small_config(setting), names, trained))


def export(checkpoint: Path, output: Path, classes: Path | None = None, which: str = "best") -> list[str]:
    lines: list[str] = []
    exporter = FORMATS.choose(output.suffix.removeprefix(".")).build()
    net = read_net(checkpoint, which)
    write(net, exporter, output, classes=classes, overwrite=True, say=lines.append, warn=lines.append)
    return [line.removesuffix(CHECKED) for line in lines]


def port(source: Path, config: Config, output: Path, classes: Path | None = None) -> Path:
    silent = {"say": lambda _: None, "warn": lambda _: None}
    port_weights(str(source), config, output, classes, words=[], cache=output.parent / "none", **silent)
    return output


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("setting", torch_reference.SETTINGS)
def test_round_trip_is_equal_to_the_bit(setting: str, form: str, tmp_path: Path) -> None:
    leaves = small_leaves(setting)
    source = {
        entry.source: np.array(to_torch(entry.transform, leaves[path])) for path, entry in weight_map(leaves).items()
    }
    ported = port(save_zip(tmp_path / "net.pth", source), small_config(setting), tmp_path / "ported")
    export(ported, tmp_path / f"again.{form}")
    found = load_state_dict(tmp_path / f"again.{form}")
    assert found.keys() == source.keys()
    for name, array in source.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
    assert found["bn1.num_batches_tracked"].dtype == np.int64


def test_names_stand_in_the_order_of_pytorch(tmp_path: Path) -> None:
    export(saved(tmp_path / "w", "fc_cbam"), tmp_path / "net.pth")
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def block(name: str) -> list[str]:
        parts = [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
        parts += [(f"{name}.downsample.0", f"{name}.downsample.1")]
        return [leaf for conv, bn in parts for leaf in (f"{conv}.weight", *(f"{bn}.{end}" for end in norm))]

    assert list(load_state_dict(tmp_path / "net.pth")) == [
        "conv1.weight",
        *(f"bn1.{end}" for end in norm),
        *block("layer1.0"),
        *block("layer2.0"),
        *("layer4.cbam.mlp.0.weight", "layer4.cbam.mlp.2.weight", "layer4.cbam.spatial_conv.weight"),
        *("fc.0.weight", "fc.0.bias", *(f"fc.1.{end}" for end in norm)),
        *("fc.4.weight", "fc.4.bias", *(f"fc.5.{end}" for end in norm)),
        *("fc.8.weight", "fc.8.bias"),
    ]


def test_safetensors_names_its_classes(tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    lines = export(saved(tmp_path / "w", names=("ä b", '"q"', "c", "d", "e")), output)
    with safetensors.safe_open(output, "np") as file:
        about = file.metadata()
    assert about["format"] == "pt"
    assert json.loads(about["preprocessing"])["orientation"] == "exif"
    assert json.loads(about["classes"]) == ["ä b", '"q"', "c", "d", "e"]
    assert lines == [f"{output}: backbone, head; 56 tensors, 1,585 parameters"]


def test_pth_says_how_the_order_of_the_classes_is_to_be_had(tmp_path: Path) -> None:
    output, classes = tmp_path / "new" / "net.pth", tmp_path / "net.txt"
    checkpoint = saved(tmp_path / "w", names=("b", "a", "1", "ä", "c d"))
    written = f"{output}: backbone, head; 56 tensors, 1,585 parameters"
    hint = "a .pth file has no place for class names; write their order beside it with --classes net.txt"
    assert export(checkpoint, output) == [hint, written]
    assert sorted(path.name for path in output.parent.iterdir()) == ["net.pth", "net.pth.sha256"]
    assert export(checkpoint, output, classes) == [written, f"{classes}: 5 class names"]
    assert classes.read_bytes() == "b\na\n1\nä\nc d\n".encode()
    assert read_classes(classes) == ("b", "a", "1", "ä", "c d")


@pytest.mark.parametrize("form", FORMS)
def test_a_backbone_alone(form: str, tmp_path: Path) -> None:
    leaves = {path: leaf for path, leaf in small_leaves("baseline").items() if path[1] == "backbone"}
    checkpoint = save(tmp_path / "w", leaves, Meta(small_config("fc"), None, ("backbone",)))
    output = tmp_path / f"net.{form}"
    assert export(checkpoint, output) == [
        f"{checkpoint}: holds no trained head; {output} holds the backbone alone",
        f"{output}: backbone; 54 tensors, 1,500 parameters",
    ]
    assert not any(name.startswith("fc") for name in load_state_dict(output))
    with pytest.raises(JaxnextError) as error:
        export(checkpoint, output, tmp_path / "names.txt")
    expected = (
        f"--classes {tmp_path / 'names.txt'}: expected class names to write, found no trained head in {checkpoint}"
    )
    assert str(error.value) == expected


def test_parts_that_are_not_trained_are_not_written(tmp_path: Path) -> None:
    meta = Meta(small_config("fc_cbam"), None, ("backbone", "attention"))
    checkpoint = save(tmp_path / "w", small_leaves("fc_cbam"), meta)
    output = tmp_path / "net.pth"
    assert export(checkpoint, output)[0].endswith("holds the backbone and the attention alone")
    names = load_state_dict(output)
    assert "layer4.cbam.spatial_conv.weight" in names
    assert not any(name.startswith("fc") for name in names)


def test_float64_stays_float64(tmp_path: Path) -> None:
    meta = Meta(small_config("baseline", precision="float64"), tuple("abcde"), ("backbone", "head"))
    leaves = small_leaves("baseline", "float64")
    export(save(tmp_path / "w", leaves, meta), tmp_path / "net.pth")
    found = load_state_dict(tmp_path / "net.pth")["fc.weight"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, leaves["params", "head", "output", "kernel"].T)


def test_leaves_without_a_counterpart_are_all_named(tmp_path: Path) -> None:
    leaves = small_leaves("cbam")
    leaves["params", "attention", "channel", "hidden", "bias"] = np.zeros(1, np.float32)
    leaves["params", "head", "scale"] = np.zeros(1, np.float32)
    meta = Meta(small_config("cbam"), tuple("abcde"), ("backbone", "attention", "head"))
    with pytest.raises(JaxnextError) as error:
        export(save(tmp_path / "w", leaves, meta), tmp_path / "net.pth")
    first, *named = str(error.value).splitlines()
    assert first == (
        f"{tmp_path / 'w'}: expected attention and head that PyTorch has a counterpart of (cbam after the last stage, "
        "se in the blocks; linear or fc), found leaves without one:"
    )
    assert sorted(named) == [
        "  params/attention/channel/hidden/bias",
        "  params/attention/channel/hidden/kernel",
        "  params/attention/channel/output/kernel",
        "  params/attention/spatial_conv/kernel",
        "  params/head/output/bias",
        "  params/head/output/kernel",
        "  params/head/scale",
    ]
    assert not (tmp_path / "net.pth").exists()


def test_what_was_written_otherwise_is_found(tmp_path: Path) -> None:
    leaves, meta = small_leaves("baseline"), Meta(small_config("baseline"), tuple("abcde"), ("backbone", "head"))
    kept = trained_leaves(unflatten(leaves), meta)
    tensors = torch_tensors(kept, "w")
    check_weights(kept, save_zip(tmp_path / "same.pth", tensors), "w")
    off = tensors["fc.bias"].copy()
    off[0] = np.nextafter(off[0], np.inf)
    for name, change in {"fc.bias": off, "fc.weight": tensors["fc.weight"].astype(np.float64)}.items():
        with pytest.raises(JaxnextError) as error:
            check_weights(kept, save_zip(tmp_path / "net.pth", tensors | {name: change}), "w")
        assert str(error.value) == f"{tmp_path / 'net.pth'}: expected the weights of w, found another {name}"
    del tensors["fc.bias"]
    with pytest.raises(JaxnextError, match=r"found another fc\.bias$"):
        check_weights(kept, save_zip(tmp_path / "net.pth", tensors), "w")


def test_folders_without_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError) as error:
        export(tmp_path, tmp_path / "net.pth")
    sentence = f"{tmp_path}: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"
    assert str(error.value) == sentence
    with pytest.raises(JaxnextError, match="expected a checkpoint 'last', found none; it has: best"):
        export(saved(tmp_path / "w"), tmp_path / "net.pth", which="last")


def test_an_output_is_replaced_whole_or_left_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "net.pth"
    output.write_text("old")
    checkpoint = saved(tmp_path / "w", names=("a\nb", *"bcde"))
    with pytest.raises(JaxnextError) as error:
        export(checkpoint, output, tmp_path / "names.txt")
    assert str(error.value).endswith(r"expected names that are each a line of text, found 'a\nb'")
    assert output.read_text() == "old"
    export(checkpoint, output)
    assert load_state_dict(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.pth", "net.pth.sha256", "w"]
    folder = tmp_path / "names.pth"
    folder.mkdir()
    with pytest.raises(JaxnextError, match="expected an earlier export to replace, found a folder"):
        export(checkpoint, folder)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\r", "\x0c", "\udc80", "\ufeffa"])
def test_class_names_that_are_no_lines(name: str, tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "w", names=("a", name, *"cde"))
    with pytest.raises(JaxnextError, match="expected names that are each a line of text, found "):
        export(checkpoint, tmp_path / "net.pth", tmp_path / "names.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


# ---- PyTorch itself ----


def loaded(path: Path):
    """The state dict as PyTorch's own readers give it."""
    torch, _ = torch_reference.require()
    if path.suffix == ".pth":
        return torch.load(path, weights_only=True, mmap=True)
    return pytest.importorskip("safetensors.torch").load_file(path)


@pytest.mark.parametrize("setting", [*torch_reference.SETTINGS, *torch_reference.NETS])
def test_pytorch_to_jaxnext_to_pytorch_is_equal_to_the_bit(setting: str, tmp_path: Path) -> None:
    torch, _ = torch_reference.require()
    net = torch_reference.settle(torch_reference.model(setting, 12, tiny=True))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    config = Config(model=model_config(**torch_reference.fields(setting, tiny=True)))
    ported = port(tmp_path / "net.pth", config, tmp_path / "w")
    for form in FORMS:
        export(ported, tmp_path / f"again.{form}")
        found = loaded(tmp_path / f"again.{form}")
        expected = net.state_dict()
        assert found.keys() == expected.keys()
        if form == "pth":
            assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor)
        other = torch_reference.model(setting, 12, tiny=True)
        other.load_state_dict(found, strict=True)
        images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            assert torch.equal(other(images), net(images))


@pytest.mark.slow
@pytest.mark.parametrize("setting", drawn(["baseline", "fc_cbam"]))
def test_a_run_of_jaxnext_predicts_the_same_in_pytorch(setting: str, images: Path, tmp_path: Path) -> None:
    torch, _ = torch_reference.require()
    model = model_config(**torch_reference.SETTINGS[setting], **torch_reference.TINY)
    small_run.train(tmp_path / "run", images, epochs=1, model=model)
    classifier = TrainedClassifier(tmp_path / "run", "last", jax.devices()[:1])
    pictures = np.stack([np.asarray(small_run.picture(name, 500).resize((16, 16))) for name in classifier.classes])
    mean, std = (np.float32([values]) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inputs = torch.from_numpy(((pictures / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())
    found = classifier.predict(pictures)
    assert np.ptp(found, axis=0).max() > 0.01
    for form in FORMS:
        export(tmp_path / "run", tmp_path / f"net.{form}", which="last")
        net = torch_reference.model(setting, 12, tiny=True)
        state = loaded(tmp_path / f"net.{form}")
        assert state["bn1.num_batches_tracked"] == 10
        net.load_state_dict(state, strict=True)
        with torch.no_grad():
            expected = torch.softmax(net.eval()(inputs), -1).numpy()
        assert np.abs(found - expected).max() <= FLOAT32_PROBABILITIES_OF_TINY
