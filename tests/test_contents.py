"""What ``jaxnext inspect`` says of a file."""

from pathlib import Path

import numpy as np
import pytest
from flat_config import model_config
from torch_writer import Raw, call, described, name, save_zip, zip_bytes

from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config
from jaxnext.weights.contents import contents

NET = {
    "conv1.weight": np.zeros((4, 3, 7, 7), np.float32),
    "layer1.0.conv1.weight": np.zeros((8, 4, 1, 1), np.float32),
    "layer1.0.conv2.weight": np.zeros((8, 4, 3, 3), np.float32),
    "layer1.0.conv3.weight": np.zeros((16, 8, 1, 1), np.float32),
    "fc.weight": np.zeros((5, 16), np.float16),
}
FITTING = {"stage_sizes": (1,), "widths": (8,), "features": (16,), "stem_features": 4, "groups": 2}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    for key, own in (("tiny", {}), ("cbam", {"attention": "cbam"}), ("other", {"groups": 1})):
        (folder / f"{key}.yaml").write_text(dump_config(Config(model=model_config(**(FITTING | own)))))
    return folder


def said(path: Path, configs: Path, every: bool = False) -> str:
    lines: list[str] = []
    contents(path, configs, every=every, say=lines.append)
    return "\n".join(lines).replace(str(path), "FILE")


def test_a_net_behind_a_prefix_beside_an_optimizer(tmp_path: Path, configs: Path) -> None:
    arrays = {f"net.{key}": array for key, array in NET.items()} | {"queue": np.zeros(3, np.int64)}
    tensors, storages = described(arrays)
    value = {
        "model": tensors,
        "args": call("mine", "Args"),
        "bad": {"x": Raw(name("torch._utils", "_rebuild_q") + b")R")},
    }
    path = tmp_path / "net.pth"
    path.write_bytes(zip_bytes(value, {key: content for key, (_, content) in storages.items()}))
    size = path.stat().st_size
    assert said(path, configs) == (
        f"FILE: {size:,} bytes\n"
        "FILE: left aside, neither imported nor called: mine.Args, torch._utils._rebuild_q\n"
        "  key    tensors  values  dtypes                              bytes\n"
        "  model        6   1,119  float32, float16, int64             4,328\n"
        "  bad          1       1  not read (torch._utils._rebuild_q)      0\n"
        "model:\n"
        "  a net of 5 tensors behind 'net.': bottleneck blocks 1 in 2 groups, head linear of 5 classes\n"
        "  fits --config tiny\n"
        "  its backbone fits --config cbam\n"
        "  1 tensor beside it\n"
        "  module        tensors  values  dtypes   bytes\n"
        "  net.conv1           1     588  float32  2,352\n"
        "  net.layer1.0        3     448  float32  1,792\n"
        "  net.fc              1      80  float16    160\n"
        "  queue               1       3  int64       24"
    )


def test_every_tensor_and_a_net_of_no_config(tmp_path: Path, configs: Path) -> None:
    wide = NET | {"conv1.weight": np.zeros((6, 3, 7, 7), np.float32)}
    found = said(save_zip(tmp_path / "net.pth", wide), configs, every=True)
    assert "  fits none of the configs; of --config tiny it differs in\n  stem_features: expected 4, found 6\n" in found
    assert found.splitlines()[-6:-4] == [
        "  tensor                 shape     dtype    bytes",
        "  conv1.weight           6x3x7x7   float32  3,528",
    ]


def test_no_net_and_no_tensors(tmp_path: Path, configs: Path) -> None:
    found = said(save_zip(tmp_path / "net.pth", {"x": np.zeros((), np.float32)}), configs)
    assert found.splitlines()[1:] == [
        "  key  tensors  values  dtypes   bytes",
        "  .          1       1  float32      4",
    ]
    (tmp_path / "net.pth").write_bytes(zip_bytes({"epoch": 3}, {}))
    assert said(tmp_path / "net.pth", configs).endswith("\nit holds no tensors with names")


def test_an_optimizers_state_is_one_row(tmp_path: Path, configs: Path) -> None:
    arrays = {str(number): np.zeros(2, np.float32) for number in range(41)}
    tensors, storages = described(arrays)
    value = {"optimizer": {"state": [{"m": tensor} for tensor in tensors.values()]}}
    (tmp_path / "net.pth").write_bytes(zip_bytes(value, {key: content for key, (_, content) in storages.items()}))
    assert said(tmp_path / "net.pth", configs).splitlines()[2].split() == [
        "optimizer/state/*",
        "41",
        "82",
        "float32",
        "328",
    ]
