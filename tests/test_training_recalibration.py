import dataclasses

import jax
import numpy as np
import pytest
import small_run
from small_run import model_of, run_env, train

from jaxnext.config.training import TrainingConfig
from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.data.splits import load_splits
from jaxnext.engine.network import network
from jaxnext.normalization import normalize


@pytest.mark.slow
def test_a_run_keeps_the_statistics_of_all_its_training_images(images, tmp_path):
    lines: list[str] = []
    config = small_run.config(images)
    # One batch of all images: its moments are the statistics.
    train(
        tmp_path / "r",
        images,
        env=run_env(lines=lines),
        epochs=1,
        batch_size=96,
        training=TrainingConfig(recalibrate=True),
    )
    (said,) = [line for line in lines if line.startswith("batch norms: ")]
    assert "standard deviations from those of all training images in " in said
    source, pixels = load_splits(config.data, 0).train, Pixels.of(config.data)
    shown = np.stack([resize(decode(source.read(i), pixels), pixels) for i in range(96)])
    mean, std = config.model.mean, config.model.std
    for kind in ("best", "last"):
        variables, _ = model_of(tmp_path / "r", kind)
        stem = variables["batch_stats"]["backbone"]["stem_norm"]
        assert stem["num_batches_tracked"] == 1
        net = network(dataclasses.replace(config.model), 12, "float32")
        convolved = jax.lax.conv_general_dilated(
            normalize(jax.numpy.asarray(shown), net.dtype, mean, std),
            variables["params"]["backbone"]["stem_conv"]["kernel"],
            (2, 2),
            ((3, 3), (3, 3)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        flat = np.asarray(convolved, np.float64).reshape(-1, convolved.shape[-1])
        np.testing.assert_allclose(stem["mean"], flat.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(stem["var"], flat.var(0, ddof=1), rtol=1e-4)
