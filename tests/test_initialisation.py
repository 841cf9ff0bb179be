from typing import Any

import jax
import numpy as np
import pytest
from flat_config import model_config

from jaxnext.config.sections import Precision
from jaxnext.engine.network import network
from jaxnext.models.classifier import Classifier
from jaxnext.models.initialisation import initialise
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name


def model_of(precision: Precision = "float32", **fields: Any) -> Classifier:
    tiny = {"stage_sizes": (1,), "widths": (4,), "features": (8,), "stem_features": 4, "groups": 2}
    return network(model_config(**(tiny | {"head_widths": (6, 5)} | fields)), 3, precision)


@pytest.mark.slow
def test_initialise_is_a_function_of_the_seed() -> None:
    model = model_of(attention="cbam", reduction=2, head="fc")
    one, again, other = (initialise(model, seed) for seed in (3, 3, 4))
    assert sorted(one) == ["batch_stats", "params"]
    flat, flat_again, flat_other = flatten(one), flatten(again), flatten(other)
    assert {path: leaf.shape for path, leaf in flat.items()} == {
        path: leaf.shape for path, leaf in flatten(variable_shapes(model)).items()
    }
    for path, leaf in flat.items():
        assert type(leaf) is np.ndarray
        assert leaf.dtype == (np.int32 if path[-1] == "num_batches_tracked" else np.float32)
        np.testing.assert_array_equal(leaf, flat_again[path], err_msg=path_name(path))
        random = (
            path[-1] == "kernel" or (path[-1] == "bias" and "hidden" in path[-2]) or path[-2:] == ("output", "bias")
        )
        assert (leaf != flat_other[path]).all() == random, path_name(path)


@pytest.mark.slow
def test_a_part_is_initialised_the_same_alone() -> None:
    model = model_of(attention="cbam", reduction=2, head="fc")
    whole = flatten(initialise(model, 3))
    head = flatten(initialise(model, 3, ("head",)))
    assert {path[1] for path in head} == {"head"}
    assert head.keys() == {path for path in whole if path[1] == "head"}
    for path, leaf in head.items():
        np.testing.assert_array_equal(leaf, whole[path], err_msg=path_name(path))


@pytest.mark.slow
def test_initialise_in_float64() -> None:
    with jax.enable_x64(True):
        variables = initialise(model_of("float64"), 0)
    dtypes = {path[-1]: leaf.dtype.name for path, leaf in flatten(variables).items()}
    assert dtypes.pop("num_batches_tracked") == "int32"
    assert set(dtypes.values()) == {"float64"}
