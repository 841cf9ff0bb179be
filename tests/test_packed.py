import jax
import jax.numpy as jnp
import numpy as np

from jaxnext.augment.operations.packed import channels, join, pack, unpack


def test_a_word_holds_red_lowest_and_is_taken_apart() -> None:
    images = np.array([[[1, 2, 3], [255, 0, 254]]], np.uint8)

    @jax.jit
    def ways(images: jax.Array) -> tuple[jax.Array, ...]:
        packed = pack(images)
        return packed, unpack(packed), unpack(join(*channels(packed))), jnp.stack(channels(packed), -1)

    packed, *others = ways(images)
    assert packed.dtype == jnp.uint32
    assert packed.tolist() == [[0x030201, 0xFE00FF]]
    assert [other.dtype for other in others] == [np.uint8, np.uint8, np.int32]
    for other in others:
        np.testing.assert_array_equal(other, images)
