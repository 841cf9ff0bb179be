"""Out of memory, said in one sentence."""

import contextlib
from collections.abc import Iterator

import jax

from jaxnext.errors import JaxnextError


@contextlib.contextmanager
def out_of_memory(batch_size: int, image_size: int | tuple[int, ...]) -> Iterator[None]:
    """Turn a lack of device or host memory inside the block into advice.

    Args:
        batch_size: images at a time.
        image_size: pixels on each side, or height and width.

    Raises:
        JaxnextError: memory ran out.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        shown = list(image_size) if isinstance(image_size, tuple) else image_size
        smaller = f"--batch_size {batch_size // 2}" if batch_size > 1 else "a smaller --data.image_size"
        raise JaxnextError(
            f"out of memory with batch_size {batch_size} and data.image_size {shown}; try {smaller}"
        ) from error
