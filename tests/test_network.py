import jax.numpy as jnp
from flat_config import model_config

from jaxnext.engine.network import network


def test_every_field_of_the_config_reaches_its_module() -> None:
    backbone = {"stage_sizes": (1,), "widths": (4,), "features": (8,), "stem_features": 4, "groups": 2, "remat": True}
    config = model_config(
        **backbone,
        attention="cbam",
        reduction=2,
        kernel_size=3,
        head="fc",
        head_widths=(6,),
        dropout=0.25,
        mean=(0.5, 0.5, 0.25),
        std=(0.25, 0.5, 1.0),
    )
    model = network(config, 5, "float64", "batch")
    shared = {"param_dtype": jnp.dtype("float64")}
    for module, expected in (
        (model.backbone, backbone | shared | {"axis_name": "batch"}),
        (model.attention, {"reduction": 2, "kernel_size": 3} | shared),
        (model.head, {"widths": (6,), "dropout": 0.25, "classes": 5, "axis_name": "batch"} | shared),
    ):
        assert {name: getattr(module, name) for name in expected} == expected
    assert (model.mean, model.std) == ((0.5, 0.5, 0.25), (0.25, 0.5, 1.0))
    assert model.dtype == jnp.dtype("float64")
    assert network(model_config(), 5, "float32").attention is None
    found = [
        network(model_config(), 5, "float32", "batch", platform).backbone.fused for platform in ("cpu", "gpu", "tpu")
    ]
    assert found == [False, True, False]


def test_the_blocks_have_their_own_attention() -> None:
    blocks = {"block": "basic", "groups": 1, "block_attention": {"type": "se", "reduction": 4, "divisor": 2}}
    backbone = network(model_config(attention="cbam", **blocks), 5, "float64", "batch").backbone
    assert backbone.block == "basic"
    given = {"reduction": 4, "divisor": 2, "setting": "model.block_attention", "param_dtype": jnp.dtype("float64")}
    assert {name: getattr(backbone.block_attention, name) for name in given} == given
    assert network(model_config(), 5, "float32").backbone.block_attention is None
