import math

import jax
import numpy as np
import pytest
from test_steps import AUGMENT, CLASSES, NET, net, start, train_batch

from jaxnext.config.sections import OPTIMIZERS
from jaxnext.engine import parallel, steps
from jaxnext.engine.gradient_norms import gradient_norms, norms
from jaxnext.engine.network import network
from jaxnext.losses.cross_entropy import PLAIN


def test_norms_are_of_each_part_and_do_not_overflow() -> None:
    tree = {
        "head": {"kernel": np.array([3e30, 4e30], np.float32)},
        "backbone": {"a": {"kernel": np.array([[1, 2], [2, 4]], np.float32)}, "b": np.float32(-12)},
        "attention": {"kernel": np.array([1, np.nan], np.float32)},
    }
    found = norms(tree)
    assert list(found) == ["backbone", "attention", "head"]
    assert found["backbone"] == 13.0
    assert found["head"] == pytest.approx(5e30)
    assert math.isnan(found["attention"])
    assert norms({"head": {"kernel": np.array([1, np.inf])}}) == {"head": math.inf}


@pytest.mark.slow
def test_gradients_are_those_of_the_training_step() -> None:
    """A step of plain descent at rate 1 goes down by the gradient."""
    on = net(2)
    model = network(NET, CLASSES, "float32", parallel.AXIS)
    sgd = OPTIMIZERS.choose("sgd", momentum=0.0).build().transformation()
    before = start(on)._replace(optimizer=sgd.init(on.state.params))
    before = before._replace(learning_rate=parallel.replicate(np.float32(1), on.mesh))
    batch = train_batch(on, 0)
    found = gradient_norms(before, batch, model=model, augmentations=AUGMENT, loss=PLAIN, mesh=on.mesh)
    after, _ = steps.compile_train_step(model, sgd, on.mesh, AUGMENT)(parallel.replicate(before, on.mesh), batch)
    moved = norms(jax.tree.map(lambda new, old: np.asarray(new) - old, after.params, on.state.params))
    assert list(found) == ["backbone", "attention", "head"]
    for part, norm in moved.items():
        assert found[part] == pytest.approx(norm, rel=1e-3)
