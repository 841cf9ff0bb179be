"""The ways in which people save a net with PyTorch: one small ResNeXt under torchvision's names, saved in each.

``WAYS`` is the table: what is saved, how, and what is to become of it. ``test_ways_of_saving.py`` reads it. For
machines without PyTorch ``python tests/ways_of_saving.py`` writes some of them to ``golden/ways``.
"""

import argparse
import collections
import copy
import datetime
import enum
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, features: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=2, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, features, 1, bias=False), nn.BatchNorm2d(features)
        shortcut = nn.Conv2d(inputs, features, 1, stride, bias=False)
        self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(features))

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Net(nn.Module):
    """A ResNeXt of four stages, its modules in torchvision's order."""

    def __init__(self, head: Any = None):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Block(4, 4, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 4, 8, 2))
        self.layer3 = nn.Sequential(Block(8, 4, 8, 2))
        self.layer4 = nn.Sequential(Block(8, 8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 5) if head is None else head

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer4(self.layer3(self.layer2(self.layer1(x))))), 1))


class Wrapper(nn.Module):
    """A module around a net, with others beside it."""

    def __init__(self, name: str, net: Any, **others: Any):
        super().__init__()
        self.add_module(name, net)
        for key, other in others.items():
            if isinstance(other, nn.Module):
                self.add_module(key, other)
            elif isinstance(other, torch.Tensor):
                self.register_buffer(key, other)
            else:
                setattr(self, key, other)

    def forward(self, x: Any) -> Any:
        return x


class Phase(enum.Enum):
    TRAIN = 1


class Settings(dict):
    """As Lightning's AttributeDict."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Tagged(torch.Tensor):
    pass


def transform(image: Any) -> Any:
    return image


def settled(net: Any) -> Any:
    """The net with values that differ from each other, in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for key, value in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            value.fill_(7)
        else:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.25)
    return net.eval()


NET = settled(Net())
STATE = NET.state_dict()
OTHER = {key: value * 0 for key, value in STATE.items()}
BODY = {key: value for key, value in STATE.items() if not key.startswith("fc.")}


def prefixed(prefix: str, state: Any = STATE) -> dict[str, Any]:
    return {f"{prefix}{key}": value for key, value in state.items()}


def numbered(prefix: str = "") -> dict[str, Any]:
    """The names in a Sequential of torchvision's children."""
    places = {"conv1": 0, "bn1": 1, **{f"layer{stage}": stage + 3 for stage in (1, 2, 3, 4)}, "fc": 9}
    return {f"{prefix}{places[key.split('.')[0]]}.{key.partition('.')[2]}": value for key, value in STATE.items()}


def transformers(state: Any = STATE) -> dict[str, Any]:
    """The names of Hugging Face's ResNetForImageClassification."""
    table = {}
    for key, value in state.items():
        first, *rest = key.split(".")
        if first in ("conv1", "bn1"):
            name = f"resnet.embedder.embedder.{'convolution' if first == 'conv1' else 'normalization'}.{rest[0]}"
        elif first == "fc":
            name = f"classifier.1.{rest[0]}"
        else:
            block = f"resnet.encoder.stages.{int(first[5:]) - 1}.layers.{rest[0]}"
            if rest[1] == "downsample":
                name = f"{block}.shortcut.{('convolution', 'normalization')[int(rest[2])]}.{rest[3]}"
            else:
                kind = "convolution" if rest[1].startswith("conv") else "normalization"
                name = f"{block}.layer.{int(rest[1][-1]) - 1}.{kind}.{rest[2]}"
        table[name] = value
    return table


def cast(dtype: Any) -> dict[str, Any]:
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in STATE.items()}


def ended(head: Any) -> Any:
    """The net with another head, the backbone's values the same."""
    net = settled(Net(head))
    net.load_state_dict(BODY, strict=False)
    return net


def pruned(module: bool) -> Any:
    from torch.nn.utils import prune

    net = copy.deepcopy(NET)
    for each in (net.conv1, net.layer1[0].conv2, net.fc):
        prune.l1_unstructured(each, "weight", amount=0.0)
    return net if module else net.state_dict()


def with_norm(old: bool) -> Any:
    net = copy.deepcopy(NET)
    norm = nn.utils.weight_norm if old else nn.utils.parametrizations.weight_norm
    norm(net.layer1[0].conv2)
    norm(net.fc)
    return net.state_dict()


@functools.cache
def spectral(old: bool) -> tuple[Any, Any]:
    """A state dict with spectral norm at the head, and the plain one that it stands for."""
    net = copy.deepcopy(NET)
    norm = nn.utils.spectral_norm if old else nn.utils.parametrizations.spectral_norm
    torch.manual_seed(0)
    norm(net.fc, n_power_iterations=20)
    # In training, so that the vectors are those of the largest singular value; then as it is saved.
    net.fc.train()(torch.ones(2, 16))
    net.fc.eval()(torch.ones(2, 16))
    return net.state_dict(), {**STATE, "fc.weight": net.fc.weight.detach()}


def parametrised() -> Any:
    class Doubled(nn.Module):
        def forward(self, x: Any) -> Any:
            return 2 * x

    net = copy.deepcopy(NET)
    nn.utils.parametrize.register_parametrization(net.fc, "weight", Doubled())
    return net.state_dict()


def tagged() -> dict[str, Any]:
    state = {key: value.clone() for key, value in STATE.items()}
    state["fc.weight"].note = "an attribute"
    return state


def optimizer() -> dict[str, Any]:
    """As Adam's ``state_dict``."""
    state = {
        number: {"step": torch.tensor(1.0), "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for number, value in enumerate(NET.parameters())
    }
    return {"state": state, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": list(state)}]}


def averaged() -> Any:
    return torch.optim.swa_utils.AveragedModel(NET)


def file_of(value: Callable[[], Any], **options: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(value(), path, **options)


def script(path: Path) -> None:
    torch.jit.save(torch.jit.trace(NET, torch.ones(1, 3, 32, 32)), str(path))


def exported(path: Path) -> None:
    with path.open("wb") as file:
        torch.export.save(torch.export.export(NET, (torch.ones(1, 3, 32, 32),)), file)


def exported_as_before(path: Path) -> None:
    import io
    import zipfile

    inner = io.BytesIO()
    torch.save(STATE, inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", inner.getvalue())


def tensors_of(state: Any) -> dict[str, np.ndarray]:
    return {key: value.detach().contiguous().numpy() for key, value in state.items()}


def safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(tensors_of(STATE), path, {"format": "pt"})


def shards(path: Path) -> None:
    import json

    from safetensors.numpy import save_file

    state = tensors_of(transformers())
    halves = dict(list(state.items())[:20]), dict(list(state.items())[20:])
    names = [f"{path.stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, path.with_name(name), {"format": "pt"})
    where = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


class Way(NamedTuple):
    """One way of saving, and what becomes of it."""

    save: Callable[[Path], None]
    said: str = ""
    """in the lines, where it is ported"""
    refused: str = ""
    """in the error, where it is not"""
    key: str | None = None
    head: bool = True
    state: Any = None
    """what the arrays are, where they are not those of the plain file"""
    close: bool = False
    """equal to rounding, as PyTorch multiplies in another order"""
    setting: tuple[Any, ...] = ((), True, "")
    """widths, batch norm and activation of the config's head"""
    slow: bool = False
    """whether PyTorch takes seconds to save it so"""


def way(value: Callable[[], Any], **expected: Any) -> Way:
    return Way(file_of(value), **expected)


RELU_HEAD = ended(nn.Sequential(nn.Linear(16, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 5)))
BATCH_NORM_HEAD = ended(nn.Sequential(nn.Linear(16, 6), nn.BatchNorm1d(6), nn.SiLU(), nn.Dropout(), nn.Linear(6, 5)))
NO_BIAS = ended(nn.Linear(16, 5, bias=False))
ZERO_BIAS = {**NO_BIAS.state_dict(), "fc.bias": torch.zeros(5)}
AFTER_DROPOUT = ended(nn.Sequential(nn.Dropout(), nn.Linear(16, 5)))
LAST = {**BODY, "fc.weight": AFTER_DROPOUT.fc[1].weight.detach(), "fc.bias": AFTER_DROPOUT.fc[1].bias.detach()}
NAMED_HEAD = collections.OrderedDict(a=nn.Linear(16, 6), b=nn.BatchNorm1d(6), c=nn.ReLU(), d=nn.Linear(6, 5))
METRICS = {"criterion.weight": torch.ones(5), "queue": torch.ones(5, 2), "train_acc": torch.ones(())}
PLAIN_RELU = {**RELU_HEAD.state_dict()}

WAYS: dict[str, Way] = {
    # The formats.
    "state dict": way(lambda: STATE),
    "plain dict": way(lambda: dict(STATE)),
    "legacy format": Way(file_of(lambda: STATE, _use_new_zipfile_serialization=False)),
    "protocol 4": Way(file_of(lambda: STATE, pickle_protocol=4)),
    "protocol 5, legacy": Way(file_of(lambda: STATE, pickle_protocol=5, _use_new_zipfile_serialization=False)),
    "protocol 0": Way(file_of(lambda: STATE, pickle_protocol=0), refused="save it again without pickle_protocol"),
    "safetensors": Way(safetensors),
    "safetensors in shards": Way(shards, said="read by the names of Hugging Face's transformers"),
    "TorchScript": Way(script, said="left aside, neither imported nor called: __torch__.", slow=True),
    "torch.export": Way(exported, slow=True),
    "torch.export before 2.9": Way(exported_as_before),
    "pickle.dump": Way(
        lambda path: path.write_bytes(pickle.dumps(STATE)) and None,
        refused="it is a pickle of Python and not a file of torch.save",
    ),
    "parameters": way(lambda: {**STATE, **dict(NET.named_parameters())}),
    "half": way(lambda: cast(torch.float16), state=cast(torch.float16)),
    "bfloat16": way(lambda: cast(torch.bfloat16), state=cast(torch.bfloat16)),
    "double": way(lambda: cast(torch.float64), state=cast(torch.float64)),
    "channels last": way(lambda: copy.deepcopy(NET).to(memory_format=torch.channels_last).state_dict()),
    "with attributes": way(tagged),
    # Whole modules.
    "module": way(lambda: NET, said="left aside, neither imported nor called: ways_of_saving.Net, "),
    "module, legacy": Way(file_of(lambda: NET, _use_new_zipfile_serialization=False)),
    "module, protocol 4": Way(file_of(lambda: NET, pickle_protocol=4)),
    "DataParallel": way(lambda: nn.DataParallel(NET), said="'module.' is taken off the names"),
    "DataParallel's state dict": way(lambda: nn.DataParallel(NET).state_dict()),
    "module under model": way(lambda: {"model": NET, "epoch": 3}),
    "module under net": way(lambda: {"net": NET}, said="weights taken from 'net'"),
    "module in a list": way(lambda: [NET, 3], said="weights taken from '0'"),
    "half module": way(lambda: copy.deepcopy(NET).half(), state=cast(torch.float16)),
    "module in a wrapper": way(
        lambda: Wrapper("backbone", NET, mean=torch.ones(1, 3, 1, 1), criterion=nn.CrossEntropyLoss()),
        said="left aside, as none of the net's: mean",
    ),
    "averaged module": way(averaged, said="'module.' is taken off the names"),
    "averaged state dict": way(lambda: {"model_ema": averaged().state_dict()}),
    "traced by fx": way(lambda: torch.fx.symbolic_trace(NET)),
    # Checkpoints of training scripts.
    "state_dict": way(lambda: {"state_dict": STATE, "epoch": 3}),
    "with an optimizer": way(lambda: {"model_state_dict": STATE, "optimizer": optimizer()}),
    "PyTorch's ImageNet example": way(
        lambda: {"state_dict": prefixed("module."), "best_acc1": torch.ones(()), "arch": "resnext"},
        said="weights taken from 'state_dict'; 'best_acc1' beside it was not read",
    ),
    "with an EMA": way(
        lambda: {"model": STATE, "model_ema": OTHER},
        said="weights taken from 'model'; 'model_ema' holds others and was not read",
    ),
    "with a criterion": way(
        lambda: {"model": STATE, "criterion": nn.CrossEntropyLoss(weight=torch.ones(5))},
        said="left aside: 'criterion' (1 tensor)",
    ),
    "with a transform": way(lambda: {"model": STATE, "transform": transform}, said="ways_of_saving.transform"),
    "with an enum": way(lambda: {"model": STATE, "phase": Phase.TRAIN}, said="ways_of_saving.Phase"),
    "with a class": way(lambda: {"model": STATE, "class": Net}, said="ways_of_saving.Net"),
    "with settings": way(lambda: {"state_dict": STATE, "hyper_parameters": Settings(lr=0.1, net=Settings())}),
    "with a version": way(lambda: {"model": STATE, "torch": torch.torch_version.TorchVersion("2.13")}),
    "with a generator": way(lambda: {"model": STATE, "rng": np.random.default_rng(0), "old": np.random.get_state()}),
    "with times and arguments": way(
        lambda: {
            "model": STATE,
            "args": argparse.Namespace(out=Path("a"), when=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        }
    ),
    "Lightning": way(
        lambda: {
            "state_dict": prefixed("model.") | {"criterion.weight": torch.ones(5)},
            "hyper_parameters": Settings(lr=0.1),
            "optimizer_states": [optimizer()],
        },
        said="left aside, as none of the net's: criterion.weight",
    ),
    # Wherever it lies.
    **{
        f"under {key}": way(lambda key=key: {key: STATE, "epoch": 3}, said=f"weights taken from '{key}'")
        for key in ("net", "network", "weights", "module", "params", "best_model", "generator_of_features")
    },
    "deep": way(lambda: {"a": {"b": [{"c": (STATE,)}]}}, said="weights taken from 'a/b/0/c/0'"),
    "in a tuple": way(lambda: (3, STATE), said="weights taken from '1'"),
    "folds": way(
        lambda: {0: STATE, 1: OTHER},
        refused="2 state dicts in it fit the net; choose one of them:\n  --key 0: 104 tensors\n  --key 1: 104 tensors",
    ),
    "one of the folds": way(lambda: {0: OTHER, 1: STATE}, key="1"),
    "a key that is not there": way(
        lambda: {0: OTHER, 1: STATE}, key="2", refused="--key: expected one of 0, 1, found '2'"
    ),
    "beside another net": way(
        lambda: {"student": STATE, "teacher": prefixed("x.", {**STATE, "conv1.weight": torch.ones(8, 3, 7, 7)})},
        said="weights taken from 'student'",
    ),
    # Prefixes.
    **{
        f"prefix {prefix}": way(lambda prefix=prefix: prefixed(prefix), said=f"'{prefix}' is taken off the names")
        for prefix in ("net.", "backbone.", "encoder.", "module.model.", "a.b.c.")
    },
    "compiled": way(lambda: prefixed("_orig_mod."), said="is taken out of the names (_orig_mod, "),
    "compiled in the middle": way(lambda: prefixed("net._orig_mod."), said="'net.' is taken off the names"),
    "compiled stages": way(
        lambda: {key.replace("layer1.", "layer1._orig_mod."): value for key, value in STATE.items()}
    ),
    "backbone and classifier": way(
        lambda: (
            prefixed("backbone.", BODY) | {"classifier.weight": STATE["fc.weight"], "classifier.bias": STATE["fc.bias"]}
        ),
        said="its head is taken from 'classifier'",
    ),
    "metrics and a queue": way(
        lambda: {**STATE, **METRICS}, said="left aside, as none of the net's: criterion.weight, queue, train_acc"
    ),
    "two encoders": way(
        lambda: prefixed("encoder_q.") | prefixed("encoder_k.", OTHER),
        refused="--key encoder_q: 104 tensors\n  --key encoder_k: 104 tensors",
    ),
    "one of two encoders": way(
        lambda: prefixed("encoder_q.") | prefixed("encoder_k.", OTHER),
        key="encoder_q",
        said="left aside: 'encoder_k' (104 tensors)",
    ),
    "anonymous": way(lambda: nn.Sequential(*NET.children()), said="read by the position of torchvision's modules"),
    "anonymous state dict": way(numbered),
    "anonymous in a prefix": way(lambda: numbered("features."), said="'features.' is taken off the names"),
    "the stem in layer0": way(
        lambda: {
            key.replace("conv1.", "layer0.0.", 1)
            if key.startswith("conv1")
            else key.replace("bn1.", "layer0.1.", 1)
            if key.startswith("bn1")
            else key: value
            for key, value in STATE.items()
        }
    ),
    "transformers": way(transformers, said="read by the names of Hugging Face's transformers"),
    # Heads.
    "dropout and linear": way(lambda: AFTER_DROPOUT, said="fc.1 is its linear head", state=LAST),
    "without a bias": way(lambda: NO_BIAS, said="fc.bias: not in the file; 0", state=ZERO_BIAS),
    "linear, ReLU, dropout, linear": way(
        lambda: RELU_HEAD,
        refused="its head is 16 → 6 → 5, without batch norm, which the config does not describe; give --model.head fc "
        "--model.head.widths '[6]' --model.head.batch_norm false --model.head.activation NAME (the activation is "
        "not in the file: NAME is one of silu, relu, ",
    ),
    "the same, as the config has it": way(
        lambda: RELU_HEAD,
        setting=((6,), False, "relu"),
        said="the activation of its head is not in the file; relu, as the config says",
        state=PLAIN_RELU,
    ),
    "the same, without the head": way(lambda: RELU_HEAD, head=False, state=BODY),
    "the original's head": way(
        lambda: BATCH_NORM_HEAD, setting=((6,), True, "silu"), state=BATCH_NORM_HEAD.state_dict()
    ),
    "the original's head, for a linear one": way(
        lambda: BATCH_NORM_HEAD, refused="16 → 6 → 5, with batch norm, which the config does not describe"
    ),
    "a head of named modules": way(
        lambda: ended(nn.Sequential(NAMED_HEAD)), refused="--model.head.widths '[6]' --model.head.activation NAME"
    ),
    "two linear layers at once": way(
        lambda: ended(nn.Sequential(nn.Linear(16, 6), nn.Linear(6, 5))), refused="--model.head.activation identity, or"
    ),
    "a head with layer norm": way(
        lambda: ended(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 5))),
        refused="its head is not made of linear layers",
    ),
    # Weights in parts.
    "pruned": way(lambda: pruned(module=False), said="3 weights multiplied out (pruned)"),
    "pruned module": way(lambda: pruned(module=True)),
    "weight norm": way(lambda: with_norm(old=True), said="2 weights multiplied out (weight norm)", close=True),
    "weight norm as a parametrisation": way(lambda: with_norm(old=False), close=True),
    "spectral norm": way(lambda: spectral(old=True)[0], state=spectral(old=True)[1], close=True),
    "spectral norm as a parametrisation": way(lambda: spectral(old=False)[0], state=spectral(old=False)[1], close=True),
    "a parametrisation of one's own": way(parametrised, refused="remove_parametrizations(module, 'weight')"),
    # What is not read.
    "quantised": way(
        lambda: {**STATE, "fc.weight": torch.quantize_per_tensor(STATE["fc.weight"], 0.1, 0, torch.qint8)},
        refused="the tensor 'fc.weight' needs torch._utils._rebuild_qtensor, which is neither read nor called",
    ),
    "sparse": way(
        lambda: {**STATE, "fc.weight": STATE["fc.weight"].to_sparse()}, refused="torch._utils._rebuild_sparse_tensor"
    ),
    "complex": way(lambda: {**STATE, "fc.weight": STATE["fc.weight"] * 1j}, refused="needs torch.complex64"),
    "float8": way(
        lambda: {**STATE, "fc.weight": STATE["fc.weight"].to(torch.float8_e4m3fn)}, refused="needs torch.float8_e4m3fn"
    ),
    "a subclass of tensors": way(
        lambda: {**STATE, "fc.weight": STATE["fc.weight"].as_subclass(Tagged)}, refused="needs ways_of_saving.Tagged"
    ),
    "nothing": way(lambda: {"epoch": 3}, refused="it holds no tensors, neither bare nor under state_dict"),
    "only an optimizer": way(lambda: {"optimizer": {"state": {}}}, refused="it holds no tensors"),
}

GOLDEN = {
    "plain": WAYS["legacy format"],
    "module": WAYS["module, legacy"],
    "parallel": WAYS["DataParallel"],
    "script": WAYS["TorchScript"],
}


def main() -> None:
    folder = Path(__file__).parent / "golden" / "ways"
    folder.mkdir(exist_ok=True)
    for key, each in GOLDEN.items():
        each.save(folder / f"{key}.pt")


if __name__ == "__main__":
    main()
