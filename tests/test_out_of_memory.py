import jax
import pytest

from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError


def sentence(error: Exception, batch_size: int) -> str:
    with pytest.raises(JaxnextError) as caught, out_of_memory(batch_size, 512):
        raise error
    return str(caught.value)


def test_device_and_host_memory():
    device = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes.")
    expected = "out of memory with batch_size 16 and data.image_size 512; try --batch_size 8"
    assert sentence(device, 16) == sentence(MemoryError(), 16) == expected


def test_a_batch_of_one_cannot_be_halved():
    assert sentence(MemoryError(), 1) == (
        "out of memory with batch_size 1 and data.image_size 512; try a smaller --data.image_size"
    )


def test_other_errors_pass():
    error = jax.errors.JaxRuntimeError("INVALID_ARGUMENT: something else")
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"), out_of_memory(16, 512):
        raise error
