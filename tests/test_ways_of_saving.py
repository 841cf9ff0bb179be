"""The ways in which people save a net: which are ported, equal to the plain file, and which are refused."""

import warnings

import ml_dtypes
import numpy as np
import pytest

pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ways_of_saving import STATE, WAYS, Way

from jaxnext.errors import JaxnextError
from jaxnext.models.heads.fc import ACTIVATIONS
from jaxnext.porting.net_weights import HeadSetting, net_weights

NET = {
    name: tuple(value.shape)
    for name, value in STATE.items()
    if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
}


def test_the_table_is_long() -> None:
    assert len(WAYS) >= 60


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, id=key, marks=[pytest.mark.slow] * way.slow) for key, way in WAYS.items()],
)
@pytest.mark.filterwarnings("ignore")
def test_the_way(tmp_path, way: Way) -> None:
    path = tmp_path / "net.pth"
    way.save(path)
    lines: list[str] = []
    setting = HeadSetting(*way.setting, tuple(ACTIVATIONS))
    options = {"key": way.key, "head": way.head, "say": lines.append}
    if way.refused:
        with pytest.raises(JaxnextError) as caught:
            net_weights(path, NET, setting, **options)
        assert str(caught.value).startswith(f"{path}: ")
        assert way.refused in str(caught.value)
        return
    found, layers = net_weights(path, NET, setting, **options)
    assert layers == ()
    expected = STATE if way.state is None else way.state
    found.pop("n_averaged", None)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        array = found[key]
        if str(value.dtype) == "torch.bfloat16":
            assert array.dtype == ml_dtypes.bfloat16
            array, value = array.astype(np.float32), value.float()
        assert array.dtype == value.numpy().dtype
        if way.close:
            np.testing.assert_allclose(array, value.numpy(), rtol=1e-6)
        else:
            np.testing.assert_array_equal(array, value.numpy())
    assert way.said in "\n".join(lines)
    assert all(line.startswith(f"{path}: ") for line in lines)
