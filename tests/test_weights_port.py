import dataclasses
import hashlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
import torch_reference
from flat_config import model_config
from model_leaves import leaves_of
from PIL import Image
from safetensors.numpy import save_file as save_safetensors
from tolerances import FLOAT32_PROBABILITIES, FLOAT32_PROBABILITIES_OF_1000
from torch_writer import described, save_zip, zip_bytes

from jaxnext.cli.invocation import Invocation
from jaxnext.cli.port import parse
from jaxnext.config.sections import Config, DataConfig
from jaxnext.config.yaml_text import dump_config, load_config
from jaxnext.engine.checkpoint import Checkpoints, read_model
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.models.summary import check_size, summary, variable_shapes
from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.porting.named import WEIGHTS, Named
from jaxnext.porting.torchvision import to_torch, weight_map
from jaxnext.training.initial_weights import load_weights
from jaxnext.tree import flatten
from jaxnext.weights import port as porting
from jaxnext.weights.export import export_weights, trained_leaves
from jaxnext.weights.port import free_name, port_weights, read_classes

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
NET = {"stage_sizes": (1, 1), "widths": (4, 8), "features": (8, 16), "stem_features": 4, "groups": 2, "reduction": 4}


def tensors(classes: int = 5, attention: bool = False, hidden: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """A state dict of the small net under PyTorch's names, random but for the counters."""
    leaves = leaves_of((1, 1), (4, 8), (8, 16), 2, 4, attention, hidden, classes)
    # leaves_of divides the attention's channels by its own reduction of 16, the net here by 4.
    random = np.random.default_rng(0)
    found = {}
    for path, entry in weight_map(leaves).items():
        shape, dtype = leaves[path]
        if path[1:3] == ("attention", "channel"):
            shape = (16, 4) if path[3] == "hidden" else (4, 16)
        value = np.full(shape, 7, dtype) if entry.transform == "counter" else random.random(shape).astype(dtype)
        found[entry.source] = np.array(to_torch(entry.transform, value), order="C")
    return found


def config(**model) -> Config:
    return Config(data=DataConfig(image_size=16), model=model_config(**(NET | model)))


def port(source, output, config, classes=None, cache=None, **options):
    lines: list[str] = []
    meta = port_weights(
        str(source),
        config,
        output,
        classes,
        words=[str(source), "--config", "a b.yaml", "--model.groups=2"],
        cache=cache or output.parent / "cache",
        say=lines.append,
        warn=lines.append,
        **options,
    )
    return meta, lines


def exported(checkpoint, output, form):
    variables, meta = read_model(checkpoint, "best")
    export_weights(trained_leaves(variables, meta), meta, output, form, str(checkpoint))


@pytest.fixture
def source(tmp_path):
    """Writes a state dict to ``tmp_path/net.pth``."""

    def write(**kind):
        save_zip(tmp_path / "net.pth", tensors(**kind))
        return tmp_path / "net.pth"

    return write


def test_trained_head_with_class_names(source, tmp_path):
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\ndog\nemu\n")
    meta, lines = port(source(), tmp_path / "w", config(), tmp_path / "names.txt")
    assert meta.classes == ("ant", "bee", "cat", "dog", "emu")
    assert meta.trained == ("backbone", "head")
    file = str(tmp_path / "net.pth")
    assert lines[:2] == [f"backbone: from {file}", f"head: from {file}"]
    assert lines[2].splitlines()[-1] == "total       1,585 parameters"
    assert lines[3:] == [f"{tmp_path / 'w'}: written"]
    assert load_config(tmp_path / "w" / "config.yaml") == config()
    with Checkpoints(tmp_path / "w") as checkpoints:
        variables, again = checkpoints.restore_model("best")
    assert again == meta
    kernel = variables["params"]["head"]["output"]["kernel"]
    np.testing.assert_array_equal(kernel, tensors()["fc.weight"].T)
    assert variables["batch_stats"]["backbone"]["stem_norm"]["num_batches_tracked"] == 7
    assert TrainedClassifier(tmp_path / "w").predict([np.zeros((9, 9, 3), np.uint8)]).shape == (1, 5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["names.txt", "net.pth", "w"]


def test_trained_head_without_class_names_warns_with_the_command(source, tmp_path):
    file, output = source(hidden=(6,), attention=True), tmp_path / "w"
    meta, lines = port(file, output, config(head="fc", head_widths=(6,), attention="cbam"))
    assert meta.classes == ("0", "1", "2", "3", "4")
    assert meta.trained == ("backbone", "attention", "head")
    assert lines[-2] == (
        f"warning: the classes of {file} have no names and are called 0 to 4; name them with: "
        f"jaxnext port {file} --config 'a b.yaml' --model.groups=2 --output {output}_named --classes "
        "FILE_OR_FOLDER"
    )
    (tmp_path / "w_named").mkdir()
    assert free_name(output) == tmp_path / "w_named2"


@pytest.mark.parametrize(("precision", "said"), [("float32", True), ("float64", False)])
def test_rounding_is_said(precision, said, tmp_path):
    rough = tensors()
    rough["bn1.weight"] = rough["bn1.weight"].astype(np.float64)  # the same numbers: nothing is rounded
    rough["conv1.weight"] = rough["conv1.weight"].astype(np.float64) + 1e-12
    rough["fc.bias"] = rough["fc.bias"].astype(np.float64) + 1e-12
    save_zip(tmp_path / "net.pth", rough)
    with jax.enable_x64(precision == "float64"):
        wide = dataclasses.replace(config(), precision=precision)
        _, lines = port(tmp_path / "net.pth", tmp_path / "w", wide)
    line = f"2 tensors of {tmp_path / 'net.pth'} rounded from float64 to float32; --precision float64 keeps all digits"
    assert (line in lines) == said
    assert any("rounded" in each for each in lines) == said


def test_a_safetensors_file_as_timm_writes_it(tmp_path):
    # timm's ResNeXt-50 has torchvision's names; safetensors sorts them, and the file says that PyTorch wrote it.
    source = tensors()
    save_safetensors(dict(sorted(source.items())), tmp_path / "model.safetensors", {"format": "pt"})
    meta, lines = port(tmp_path / "model.safetensors", tmp_path / "w", config())
    assert meta.trained == ("backbone", "head")
    assert lines[:2] == [f"{part}: from {tmp_path / 'model.safetensors'}" for part in ("backbone", "head")]
    exported(tmp_path / "w", tmp_path / "again.safetensors", "safetensors")
    found = load_state_dict(tmp_path / "again.safetensors")
    assert found.keys() == source.keys()
    for key, array in source.items():
        np.testing.assert_array_equal(found[key], array)


def test_what_was_passed_over_in_a_checkpoint_is_said(tmp_path):
    described_tensors, storages = described(tensors())
    value = {"model_ema": described_tensors, "state_dict": dict(described_tensors)}
    (tmp_path / "net.pth").write_bytes(zip_bytes(value, {key: content for key, (_, content) in storages.items()}))
    _, lines = port(tmp_path / "net.pth", tmp_path / "w", config())
    assert lines[0] == (
        f"{tmp_path / 'net.pth'}: weights taken from 'state_dict'; 'model_ema' holds others and was not read"
    )


def test_imagenet_head_is_left_out_and_the_backbone_serves_every_setting(source, tmp_path):
    meta, lines = port(source(classes=1000), tmp_path / "w", config(head="fc", attention="cbam"))
    assert (meta.classes, meta.trained) == (None, ("backbone",))
    assert lines[1:4] == [
        "attention: not in the source; training initialises it",
        "head: not in the source; training initialises it",
        "left out: fc.weight, fc.bias",
    ]
    for head in ("linear", "fc"):
        for attention in ("none", "cbam"):
            shapes = variable_shapes(network(config(head=head, attention=attention).model, 3, "float32"))
            variables, said = load_weights(tmp_path / "w", shapes, ("a", "b", "c"))
            stem = variables["params"]["backbone"]["stem_conv"]["kernel"]
            np.testing.assert_array_equal(stem, tensors()["conv1.weight"].transpose(2, 3, 1, 0))
            assert said[0] == f"backbone: from {tmp_path / 'w'}"
            assert said[-1] == "head: newly initialised (the checkpoint has none that is trained)"
    with pytest.raises(JaxnextError, match="expected a trained head, found the parts backbone"):
        TrainedClassifier(tmp_path / "w")


def test_a_layer_between_backbone_and_head_is_refused_and_left_aside_with_the_head(tmp_path):
    save_zip(tmp_path / "net.pth", tensors() | {"neck.weight": np.zeros((16, 16), np.float32)})
    with pytest.raises(JaxnextError) as error:
        port(tmp_path / "net.pth", tmp_path / "w", config())
    assert str(error.value) == (
        f"{tmp_path / 'net.pth'}: beside the net it has neck.weight, which may stand between its backbone and its "
        "head; --head none ports the backbone alone"
    )
    meta, lines = port(tmp_path / "net.pth", tmp_path / "w", config(), head=False)
    assert meta.trained == ("backbone",)
    assert lines[:2] == [
        f"{tmp_path / 'net.pth'}: its head is left aside, as --head none asks for",
        f"{tmp_path / 'net.pth'}: left aside, as none of the net's: neck.weight",
    ]


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from jaxnext.cli import port
from jaxnext.cli.invocation import Invocation
from jaxnext.config.yaml_text import load_config
port.configs_folder = lambda: Path(".")
for setting in sys.argv[1:]:
    for kind in ("plain", "module", "parallel"):
        argv = [f"{setting}-{kind}.pth", "--config", setting, "--output", f"{setting}-{kind}"]
        assert port.run(argv, Invocation()) == 0
"""


@pytest.mark.slow
def test_whole_modules_of_the_four_settings_predict_pytorchs_probabilities_without_torch(tmp_path):
    torch, _ = torch_reference.require()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    mean, std = (np.float32(values) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inputs = torch.from_numpy(((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())
    expected = {}
    for setting, own in torch_reference.SETTINGS.items():
        net = torch_reference.settle(torch_reference.model(setting, 12, tiny=True))
        with torch.no_grad():
            expected[setting] = torch.softmax(net(inputs), -1).numpy()
        if "cbam" in setting:
            # A class within a function has no name to be pickled under.
            kind = type(net.layer4.cbam)
            kind.__module__, kind.__qualname__ = torch_reference.__name__, "CBAM"
            torch_reference.CBAM = kind
        kinds = {"plain": net.state_dict(), "module": net, "parallel": torch.nn.DataParallel(net)}
        for kind, value in kinds.items():
            torch.save(value, tmp_path / f"{setting}-{kind}.pth")
        model = model_config(**torch_reference.TINY | own)
        (tmp_path / f"{setting}.yaml").write_text(dump_config(Config(data=DataConfig(image_size=64), model=model)))
    command = [sys.executable, "-c", WITHOUT_TORCH, *torch_reference.SETTINGS]
    paths = os.pathsep.join([str(CONFIGS.parent), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    for setting in torch_reference.SETTINGS:
        plain, meta = read_model(tmp_path / f"{setting}-plain", "best")
        for kind in ("module", "parallel"):
            variables, again = read_model(tmp_path / f"{setting}-{kind}", "best")
            assert again == meta
            assert flatten(variables).keys() == flatten(plain).keys()
            for path, leaf in flatten(variables).items():
                np.testing.assert_array_equal(leaf, flatten(plain)[path])
        net = TrainedClassifier(tmp_path / f"{setting}-parallel", devices=jax.devices()[:1])
        assert np.abs(net.predict(images, batch_size=3) - expected[setting]).max() <= FLOAT32_PROBABILITIES


def test_imagenet_head_is_kept_when_asked_for(source, tmp_path):
    meta, _ = port(source(classes=1000), tmp_path / "w", config(classes=1000))
    assert meta.trained == ("backbone", "head")
    assert meta.classes is not None
    assert len(meta.classes) == 1000


def test_every_mismatch_is_reported_once_and_nothing_is_written(tmp_path):
    broken = tensors()
    del broken["bn1.weight"]
    broken["conv1.weight"] = broken["conv1.weight"][:2]
    broken["layer1.0.extra"] = np.zeros(3, np.float32)
    broken["extra"] = np.zeros(3, np.float32)  # none of the net's: named, and left aside
    save_zip(tmp_path / "net.pth", broken)
    with pytest.raises(JaxnextError) as error:
        port(tmp_path / "net.pth", tmp_path / "w", config())
    text = str(error.value)
    assert "params/backbone/stem_conv/kernel (conv1.weight): expected (4, 3, 7, 7), found (2, 3, 7, 7)" in text
    assert "params/backbone/stem_norm/scale (bn1.weight): expected (4,), found nothing" in text
    assert "layer1.0.extra: expected nothing, found (3,)" in text
    assert text.count("\n") == 3
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]


def test_wrong_number_of_class_names(source, tmp_path):
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    with pytest.raises(JaxnextError) as error:
        port(source(), tmp_path / "w", config(), tmp_path / "names.txt")
    assert str(error.value) == (
        f"--classes: expected as many names as {tmp_path / 'net.pth'} has classes, found 2 names and a head of 5"
    )


def test_model_classes_that_differ_from_the_head(source, tmp_path):
    with pytest.raises(JaxnextError) as error:
        port(source(), tmp_path / "w", config(classes=6))
    assert str(error.value) == f"model.classes: expected the 5 classes of the head of {tmp_path / 'net.pth'}, found 6"


def test_too_many_parameters(source, tmp_path):
    with pytest.raises(JaxnextError, match="expected at most 1,500 parameters, found 1,585"):
        port(source(), tmp_path / "w", config(max_parameters=1500))


def test_output_that_holds_a_checkpoint_is_refused(source, tmp_path):
    port(source(), tmp_path / "w", config())
    with pytest.raises(UsageError, match="expected a new folder, found one that holds a run or a checkpoint"):
        port(tmp_path / "net.pth", tmp_path / "w", config())


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(JaxnextError) as error:
        port(tmp_path / "none.pth", tmp_path / "w", config())
    assert str(error.value) == f"{tmp_path / 'none.pth'}: no such file"
    with pytest.raises(UsageError) as error:
        port("imagenet1k_v3", tmp_path / "w", config())
    assert str(error.value) == (
        f"unknown weights 'imagenet1k_v3': did you mean imagenet1k_v2? The names are {', '.join(WEIGHTS)}"
    )


def test_a_name_is_downloaded_verified_and_ported(tmp_path, monkeypatch):
    save_zip(tmp_path / "served.pth", tensors(classes=1000))
    content = (tmp_path / "served.pth").read_bytes()
    file = f"resnext50_32x4d-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (tmp_path / "served.pth").rename(tmp_path / file)
    (tmp_path / "tiny.yaml").write_text(dump_config(config()))
    monkeypatch.setitem(WEIGHTS, "imagenet1k_v2", Named(f"http://127.0.0.1:9/{file}", "tiny"))
    monkeypatch.setattr(porting, "configs_folder", lambda: tmp_path)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        meta, _ = port("imagenet1k_v2", tmp_path / "w", config(), cache=tmp_path / "cache", base_url=url)
        server.shutdown()
    assert meta.trained == ("backbone",)
    assert (tmp_path / "cache" / file).read_bytes() == content


@pytest.mark.parametrize(
    ("weights", "own", "name", "difference"),
    [
        (
            "imagenet1k_v2",
            "baseline",
            "resnet50",
            "batch_stats/backbone/stage2_block1/norm1/mean: expected [128], found [64]",
        ),
        (
            "imagenet1k_v2",
            "baseline",
            "quickstart",
            "batch_stats/backbone/stage2_block1/norm1/mean: expected [128], found [32]",
        ),
        (
            "resnet18_imagenet1k_v1",
            "resnet18",
            "resnet34",
            "batch_stats/backbone/stage2_block3/norm1/mean: expected no such leaf, found [64]",
        ),
        (
            "seresnext50_32x4d.racm_in1k",
            "seresnext50_32x4d",
            "fc",
            "params/backbone/stage2_block1/attention/hidden/bias: expected [16], found no such leaf",
        ),
    ],
)
def test_named_weights_of_another_net_are_refused_before_the_download(weights, own, name, difference, tmp_path):
    other = load_config(CONFIGS / f"{name}.yaml")
    with pytest.raises(UsageError) as error:
        port(weights, tmp_path / "w", other, cache=tmp_path / "cache", base_url="http://127.0.0.1:9/")
    assert str(error.value) == (
        f"{weights}: the weights are those of --config {own}, and the config describes another network: "
        f"{difference}; choose that --config, or give a file with weights of this network"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_download_needs_a_folder(tmp_path):
    with pytest.raises(JaxnextError, match=r"^imagenet1k_v2: the folder for downloads is unknown.*set XDG_CACHE_HOME$"):
        port_weights("imagenet1k_v2", Config(), tmp_path / "w", None, words=[], cache=None, say=print, warn=print)


def test_without_a_network_the_error_says_what_to_download_and_where_to_put_it(tmp_path):
    with pytest.raises(JaxnextError) as error:
        port("imagenet1k_v2", tmp_path / "w", Config(), cache=tmp_path / "cache", base_url="http://127.0.0.1:9/")
    file = "resnext50_32x4d-1a0047aa.pth"
    assert f"download http://127.0.0.1:9/{file} by hand and put it at {tmp_path / 'cache' / file}" in str(error.value)


def test_class_names_from_a_file_and_a_folder(tmp_path):
    for name in ("b", "a", "10", "9", ".hidden"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    assert read_classes(tmp_path / "folder") == ("10", "9", "a", "b")
    (tmp_path / "names").write_text("b\na b\n")
    assert read_classes(tmp_path / "names") == ("b", "a b")
    (tmp_path / "names").write_bytes("\ufeffb\r\na\u2028b\r\n".encode())
    assert read_classes(tmp_path / "names") == ("b", "a\u2028b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a class name a line, found an empty file"),
        ("a\n\nb\n", "expected a class name in line 2, found an empty line"),
        ("a\nb\na\n", "the name 'a' stands in line 1 and again in line 3"),
    ],
)
def test_class_files_that_are_refused(text, message, tmp_path):
    (tmp_path / "names").write_text(text)
    with pytest.raises(JaxnextError) as error:
        read_classes(tmp_path / "names")
    assert str(error.value) == f"--classes {tmp_path / 'names'}: {message}"


def test_class_file_that_is_missing(tmp_path):
    with pytest.raises(JaxnextError, match="expected a text file with a class name a line, found"):
        read_classes(tmp_path / "none")


@pytest.mark.full_size
@pytest.mark.parametrize("setting", torch_reference.SETTINGS)
def test_full_size_file_predicts_pytorchs_probabilities_on_jpegs(setting, tmp_path):
    torch, torchvision = torch_reference.require()
    net = torch_reference.settle(torch_reference.model(setting))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    for i in range(4):
        random = np.random.default_rng(i)
        small = Image.fromarray(random.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8))
        small.resize((700 - 90 * i, 400 + 50 * i), Image.Resampling.BICUBIC).save(tmp_path / f"{i}.jpg", quality=90)
    files = [tmp_path / f"{i}.jpg" for i in range(4)]
    transforms = torchvision.transforms
    prepare = transforms.Compose(
        [
            transforms.Resize((512, 512)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    with torch.no_grad():
        inputs = torch.stack([prepare(Image.open(file).convert("RGB")) for file in files])
        expected = torch.softmax(net(inputs), -1).numpy()

    meta, _ = port(
        tmp_path / "net.pth", tmp_path / "w", Config(model=model_config(**torch_reference.SETTINGS[setting]))
    )
    found = TrainedClassifier(tmp_path / "w", devices=jax.devices()[:1]).predict(files, batch_size=4)
    assert meta.classes == tuple(str(i) for i in range(100))
    assert np.abs(found - expected).max() <= FLOAT32_PROBABILITIES
    assert found.argmax(-1).tolist() == expected.argmax(-1).tolist()


PARAMETERS = {
    "resnet18": "11,689,512",
    "resnet34": "21,797,672",
    "resnet50": "25,557,032",
    "resnet101": "44,549,160",
    "resnet152": "60,192,808",
    "wide_resnet50_2": "68,883,240",
    "wide_resnet101_2": "126,886,696",
    "resnext101_32x8d": "88,791,336",
    "resnext101_64x4d": "83,455,272",
    "seresnext50_32x4d": "27,559,896",
}
"""As torchvision's and timm's documentation has them, of 1000 classes."""


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_the_configs(name):
    net = load_config(CONFIGS / f"{name}.yaml").model
    params = variable_shapes(network(net, 1000, "float32"))["params"]
    assert summary(params).split()[-2] == PARAMETERS[name]
    check_size(params, net.max_parameters)


@pytest.mark.full_size
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_torchvisions_other_nets_have_configs(name, parameters, tmp_path):
    torch, torchvision = torch_reference.require()
    if name.startswith("se"):
        net = torch_reference.settle(torch_reference.model("se", 1000))
    else:
        net = torch_reference.settle(getattr(torchvision.models, name)().eval())
    torch.save(net.state_dict(), tmp_path / "net.pth")
    argv = [str(tmp_path / "net.pth"), "--config", name, "--output", str(tmp_path / "w")]
    argv += ["--model.classes", "1000", "--data.image_size", "96"]
    arguments = parse(argv, Invocation(), CONFIGS)
    _, lines = port(arguments.source, arguments.output, arguments.config)
    assert lines[2].splitlines()[-1].split() == ["total", parameters, "parameters"]

    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    mean, std = (np.float32(values) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inputs = torch.from_numpy(((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        expected = torch.softmax(net(inputs), -1).numpy()
    found = TrainedClassifier(tmp_path / "w", devices=jax.devices()[:1]).predict(images, batch_size=3)
    assert np.abs(found - expected).max() <= FLOAT32_PROBABILITIES_OF_1000 * expected.max()
    assert found.argmax(-1).tolist() == expected.argmax(-1).tolist()

    exported(tmp_path / "w", tmp_path / "again.pth", "pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True, mmap=True)
    assert list(again) == list(net.state_dict())
    assert all(torch.equal(again[key], tensor) for key, tensor in net.state_dict().items())
