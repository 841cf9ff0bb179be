from typing import Any

import jax
import numpy as np
import pytest

from jaxnext.config.mapping import build
from jaxnext.engine import parallel
from jaxnext.engine.state import create
from jaxnext.training.phases import Phase, changes, entered, optimizer_of, phase_of

CONFIG = build(
    {
        "epochs": 30,
        "data": {"image_size": {0: 8, 5: 16}},
        "model": {"freeze": ["stem", "head"], "unfreeze": {3: ["head"], 5: ["stem"]}},
        "optimizer": {"clip_norm": 1.0},
    }
)
PARAMS: dict[str, Any] = {
    "backbone": {
        "stem_norm": {"scale": np.ones(2, np.float32)},
        "stage2_block1": {"norm1": {"scale": np.ones(3, np.float32)}},
    },
    "head": {"output": {"bias": np.ones(4, np.float32)}},
}


def test_a_phase_is_what_is_frozen_and_the_size() -> None:
    assert list(changes(CONFIG)) == [3, 5, 30]
    assert list(changes(build({}))) == [50]
    assert phase_of(CONFIG, 2) == Phase(("stem", "head"), (8, 8))
    assert phase_of(CONFIG, 3) == Phase(("stem",), (8, 8))
    assert phase_of(CONFIG, 29) == Phase((), (16, 16))


def test_the_next_phase_keeps_the_moments_and_begins_those_of_new_parts_with_zero() -> None:
    optimizer = optimizer_of(CONFIG, PARAMS)
    variables = {"params": PARAMS, "batch_stats": {}}
    state = create(variables, optimizer, 0.1, 0, frozen=("stem", "head"), accumulates=True)
    before: Any = jax.tree.map(lambda leaf: leaf + 7, state.optimizer)
    mesh = parallel.mesh_of(jax.devices()[:2])
    after = entered(state._replace(optimizer=before), optimizer, ("stem",), mesh)
    moments: Any = after.optimizer
    assert len(moments) == 2
    jax.tree.map(np.testing.assert_array_equal, moments[0], before[0])
    found = {str(np.shape(leaf)): np.unique(leaf).tolist() for leaf in jax.tree.leaves(moments[1])}
    assert found == {"()": [0], "(4,)": [0.0]}
    assert jax.tree.map(np.shape, after.accumulated and after.accumulated.gradients) == {
        "backbone": {"stage2_block1": {"norm1": {"scale": (3,)}}},
        "head": {"output": {"bias": (4,)}},
    }


def test_a_run_that_unfreezes_nothing_has_the_optimizer_itself() -> None:
    state: Any = optimizer_of(build({"model": {"freeze": ["stem"]}}), PARAMS).init(PARAMS)
    assert type(state).__name__ == "ScaleByAdamState"


def test_gradients_are_clipped_by_the_norm_over_all_parts_whenever_these_are_trained() -> None:
    changed = {"type": "sgd", "momentum": 0.0, "clip_norm": 1.0}
    config = build({"model": {"freeze": ["head"], "unfreeze": {3: ["head"]}}, "optimizer": changed})
    params = {"backbone": {"stem_norm": {"scale": np.ones(1, np.float32)}}, "head": {"bias": np.ones(1, np.float32)}}
    optimizer: Any = optimizer_of(config, params)
    gradients = {
        "backbone": {"stem_norm": {"scale": np.array([3], np.float32)}},
        "head": {"bias": np.array([4], np.float32)},
    }
    directions, _ = optimizer.update(gradients, optimizer.init(params), params)
    assert float(directions["backbone"]["stem_norm"]["scale"][0]) == pytest.approx(0.6, rel=1e-5)
    assert float(directions["head"]["bias"][0]) == pytest.approx(0.8, rel=1e-5)
