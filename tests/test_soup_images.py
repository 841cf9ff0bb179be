from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import model_of
from test_weights_average import QUIET

from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.data.splits import load_splits
from jaxnext.engine.network import network
from jaxnext.engine.recalibration import recalibration_order
from jaxnext.normalization import normalize
from jaxnext.weights.soup_images import SoupImages


@pytest.mark.slow
def test_figures_and_statistics_are_those_of_a_plain_loop(run: Path) -> None:
    variables, meta = model_of(run, "best")
    config = meta.config
    splits, pixels = load_splits(config.data, config.seed), Pixels.of(config.data)
    images = SoupImages(config, splits, (), warn=lambda line: None, **QUIET)

    def shown(source: Any, numbers: Any) -> Any:
        rows = np.stack([resize(decode(source.read(int(i)), pixels), pixels) for i in numbers])
        return normalize(jnp.asarray(rows), jnp.dtype("float32"), config.model.mean, config.model.std)

    net = network(config.model, 12, "float32")
    logits = net.apply(variables, shown(splits.validation, range(24)), train=False)
    sums = images.measure(variables)
    assert int(sums.sums["count"]) == 24
    assert sums.mean("correct") == np.mean(np.argmax(logits, -1) == splits.validation.labels)
    right = -np.mean(np.asarray(jax.nn.log_softmax(logits))[np.arange(24), splits.validation.labels])
    assert sums.mean("loss") == pytest.approx(right, rel=1e-5)

    # The stem's batch norm: of each of the ten batches mean and unbiased variance, averaged.
    found = images.recalibrated(variables)
    order, means, variances = recalibration_order(96, config.seed), [], []
    for begin in range(0, 96, 10):
        x = shown(splits.train, order[begin : begin + 10])
        kernel, padding = variables["params"]["backbone"]["stem_conv"]["kernel"], ((3, 3), (3, 3))
        y = jax.lax.conv_general_dilated(x, kernel, (2, 2), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        flat = np.asarray(y, np.float64).reshape(-1, y.shape[-1])
        means.append(flat.mean(0))
        variances.append(flat.var(0, ddof=1))
    stem = found["batch_stats"]["backbone"]["stem_norm"]
    np.testing.assert_allclose(stem["mean"], np.mean(means, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stem["var"], np.mean(variances, 0), rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, found["params"], variables["params"])
