"""From a file to the arrays that ``merge`` takes; ``test_ways_of_saving.py`` has what PyTorch writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_writer import save_zip

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.porting.net_weights import HeadSetting, net_weights

BODY = {"conv1.weight": np.ones((2, 3)), "layer1.0.conv1.weight": np.ones((2, 2))}
NET = {name: array.shape for name, array in BODY.items()}
LINEAR = HeadSetting((), True, "", ("silu", "relu"))
HEAD = {"fc.weight": np.ones((3, 2)), "fc.bias": np.ones(3)}
HIDDEN = {
    "fc.0.weight": np.ones((4, 2)),
    "fc.0.bias": np.ones(4),
    "fc.2.weight": np.ones((3, 4)),
    "fc.2.bias": np.ones(3),
}


GOLDEN = Path(__file__).parent / "golden" / "ways"


@pytest.mark.parametrize("kind", ["module", "parallel", "script"])
def test_what_pytorch_wrote(kind: str) -> None:
    plain = load_state_dict(GOLDEN / "plain.pt")
    shapes = {
        key: array.shape for key, array in plain.items() if key[:3] != "fc." and not key.endswith("num_batches_tracked")
    }
    found, layers = net_weights(GOLDEN / f"{kind}.pt", shapes, LINEAR, say=lambda line: None)
    assert (found.keys(), layers) == (plain.keys(), ())
    for key, array in plain.items():
        np.testing.assert_array_equal(found[key], array)


def read(folder: Path, arrays: dict[str, np.ndarray], setting: HeadSetting = LINEAR, **options: Any) -> Any:
    lines: list[str] = []
    path = save_zip(folder / "net.pth", arrays)
    found, layers = net_weights(path, NET, setting, say=lines.append, **options)
    return found, layers, [line.removeprefix(f"{path}: ") for line in lines]


def test_a_plain_file_says_nothing(tmp_path: Path) -> None:
    found, layers, lines = read(tmp_path, BODY | HEAD)
    assert list(found) == [*BODY, *HEAD]
    assert (layers, lines) == ((), [])


def test_layers_beside_the_net(tmp_path: Path) -> None:
    neck = {"neck.weight": np.ones((2, 2)), "loss.center": np.ones((2, 2))}
    found, layers, lines = read(tmp_path, BODY | HEAD | neck)
    assert found.keys() == (BODY | HEAD).keys()
    assert layers == ("neck.weight",)
    assert lines == ["left aside, as none of the net's: neck.weight, loss.center"]


def test_without_its_head(tmp_path: Path) -> None:
    found, _, lines = read(tmp_path, BODY | HIDDEN, head=False)
    assert found.keys() == BODY.keys()
    assert lines == ["its head is left aside, as --head none asks for"]


def test_a_head_with_hidden_layers(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError, match="its head is 2 → 4 → 3, without batch norm, which the config does not"):
        read(tmp_path, BODY | HIDDEN)
    found, _, lines = read(tmp_path, BODY | HIDDEN, HeadSetting((4,), False, "relu", ()))
    assert list(found)[2:] == ["fc.0.weight", "fc.0.bias", "fc.3.weight", "fc.3.bias"]
    assert lines == ["the activation of its head is not in the file; relu, as the config says"]


def test_weights_in_parts(tmp_path: Path) -> None:
    parts = {"fc.weight_orig": HEAD["fc.weight"], "fc.weight_mask": np.zeros((3, 2))}
    found, _, lines = read(tmp_path, BODY | parts | {"fc.bias": HEAD["fc.bias"]})
    assert not found["fc.weight"].any()
    assert lines == ["1 weights multiplied out (pruned)"]
    with pytest.raises(JaxnextError, match=r"the tensor 'fc.weight': its parts \(orig, mask\) do not fit each other"):
        read(tmp_path, BODY | parts | {"fc.weight_mask": np.zeros((4, 2))})
    with pytest.raises(JaxnextError, match="a parametrisation gives that the file does not hold"):
        read(tmp_path, BODY | {"fc.parametrizations.weight.original": np.ones((3, 2))})
