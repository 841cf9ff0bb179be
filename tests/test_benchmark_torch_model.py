import dataclasses

import benchmark_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.torch_model import build, check
from tolerances import FLOAT32_LOGITS
from torch_ported import relative_error, to_leaves

from jaxnext.config.choice import Choice
from jaxnext.config.sections import ATTENTIONS, HEADS, ModelConfig
from jaxnext.engine.network import network
from jaxnext.errors import UsageError
from jaxnext.models.summary import variable_shapes

FOUR_STAGES = {"stage_sizes": (1, 2, 1, 1), "widths": (4, 4, 8, 8), "features": (8, 8, 16, 16)}


@pytest.mark.parametrize(("attention", "head"), [("none", "linear"), ("cbam", "fc")])
def test_it_is_the_same_network(attention, head):
    torch = pytest.importorskip("torch")
    config = dataclasses.replace(
        benchmark_cases.MODEL, attention=ATTENTIONS.choose(attention), head=HEADS.choose(head), **FOUR_STAGES
    )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = build(torch, config, 5)
    images = np.random.default_rng(0).standard_normal((4, 64, 64, 3), np.float32)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        net(x)  # in training mode: running statistics that are not those of a fresh network
        expected = net.eval()(x).numpy()
    ours = network(config, 5, "float32")
    # Every tensor is used under torchvision's names, and every leaf is filled.
    variables = to_leaves(variable_shapes(ours), net.state_dict())
    found = jax.jit(lambda own, x: ours.apply(own, x, train=False))(variables, jnp.asarray(images))
    assert relative_error(found, expected) <= FLOAT32_LOGITS


def test_options_of_the_attention():
    torch = pytest.importorskip("torch")
    net = build(
        torch, dataclasses.replace(benchmark_cases.MODEL, attention=ATTENTIONS.choose("cbam", kernel_size=3)), 5
    )
    assert net.state_dict()["layer2.cbam.spatial_conv.weight"].shape == (1, 2, 3, 3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ModelConfig(attention=Choice("other", {}, ATTENTIONS)),
            "model.attention: the benchmark has PyTorch's side of none and cbam only, ",
        ),
        (
            ModelConfig(head=Choice("other", {}, HEADS)),
            "model.head: the benchmark has PyTorch's side of linear and fc only, ",
        ),
    ],
)
def test_another_network_is_refused(config, message):
    with pytest.raises(UsageError) as error:
        check(config)
    assert str(error.value) == message + "found 'other'"
