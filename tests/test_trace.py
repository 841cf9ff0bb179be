"""The net's program: convolutions as one operation each, in float32, for any number of images."""

from collections import Counter
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest
from onnx_nets import net_of, with_parts

from jaxnext.errors import JaxnextError
from jaxnext.inference.onnx.trace import trace
from jaxnext.models.folding import fold
from jaxnext.models.layers import global_average_pool


class Counting(nn.Module):
    """A head that asks how many images there are."""

    @nn.compact
    def __call__(self, x: jax.Array, **_: Any) -> jax.Array:
        return global_average_pool(x if x.shape[0] > 4 else -x)


@pytest.mark.slow
def test_of_a_setting() -> None:
    net = net_of("fc_cbam")
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float64), fold(net.variables, net.model))
    program = trace(net.model, variables, (32, 32))
    ops = Counter(equation.primitive.name for equation in program.jaxpr.jaxpr.eqns)
    assert ops["conv_general_dilated"] == 13
    assert ops["dot_general"] == 7
    assert ops["cond"] == ops["platform_index"] == ops["ffi_call"] == 0
    assert [str(size) for size in program.images] == ["batch", "32", "32", "3"]
    assert {leaf.dtype.name for leaf in program.leaves.values()} == {"float32"}
    assert program.leaves["head/output/bias"].shape == (5,)


def test_a_net_that_depends_on_the_number_of_images() -> None:
    net = with_parts(None, Counting())
    with pytest.raises(JaxnextError, match=r"^the net cannot be traced without knowing the number of images: "):
        trace(net.model, net.variables, (32, 32))
