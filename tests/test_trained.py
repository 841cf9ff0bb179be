from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnext.config.sections import Config
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.errors import JaxnextError
from jaxnext.inference.trained import load_net, load_trained


def test_the_net_of_a_run(run: Path) -> None:
    module, variables = load_net(run, "last")
    assert set(variables) == {"params", "batch_stats"}
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(variables))
    logits = jax.eval_shape(lambda x: module.apply(variables, x, train=False), np.zeros((3, 16, 16, 3), np.float32))
    assert logits.shape == (3, 12)


def test_a_checkpoint_without_a_trained_head(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 0, {"params": {"a": np.zeros(1)}}, Meta(Config(), None, ("backbone",)))
    with pytest.raises(JaxnextError) as error:
        load_trained(tmp_path, "best", "python scripts/train.py")
    assert str(error.value) == (
        f"{tmp_path}: expected a trained head, found the parts backbone; fine-tune it with: "
        f"python scripts/train.py --config fc_cbam --model.weights {tmp_path}"
    )
