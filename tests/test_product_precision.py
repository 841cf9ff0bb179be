import jax
import jax.numpy as jnp
from jax import lax

from jaxnext.ops.fused_conv import conv
from jaxnext.ops.product_precision import product_precision


def test_bfloat16_asks_for_nothing_and_others_for_what_the_context_says() -> None:
    found = [product_precision(dtype) for dtype in ("bfloat16", jnp.float32, "float64")]
    assert found == [lax.Precision.DEFAULT, None, None]


def test_convolutions_and_their_gradients_ask_so() -> None:
    def precisions(dtype: str) -> set[str]:
        x, kernels = jnp.ones((1, 4, 4, 8), dtype), (jnp.ones((1, 1, 8, 8), dtype), jnp.ones((3, 3, 4, 8), dtype))

        def both(x: jax.Array, kernels: tuple[jax.Array, jax.Array]) -> jax.Array:
            y = conv(x, kernels[0], stride=2, padding=((0, 0), (0, 0)), groups=1)
            return conv(y, kernels[1], stride=1, padding=((1, 1), (1, 1)), groups=2).sum()

        with jax.default_matmul_precision("highest"):
            text = jax.jit(jax.grad(both, (0, 1))).trace(x, kernels).lower(lowering_platforms=("cuda",)).as_text()
        names = (name for name in ("HIGHEST", "DEFAULT") if f"{name}, {name}" in text or f"precision {name}>" in text)
        return set(names)

    assert precisions("float32") == {"HIGHEST"}
    assert precisions("bfloat16") == {"DEFAULT"}
