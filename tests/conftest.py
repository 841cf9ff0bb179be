"""Four CPU devices for every test, so that one, two and four can be compared; one small run shared by many tests."""

import jax
import pytest
import small_run
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from live_seed import SEED

jax.config.update("jax_num_cpu_devices", 4)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What failed says the seed that repeats it."""
    report = yield
    if report.failed:
        report.sections.append(("seed of the live comparisons", f"JAXNEXT_TEST_SEED={SEED}"))
    return report


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory):
    """CompiledSteps that several tests compile are compiled once a session."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture
def onednn_calls():
    """Without the compilation cache, so that convolutions in float32 are computed by oneDNN where it works."""
    # JAX looks at the setting at the first compilation only, unless it is told to forget what it saw.
    jax.config.update("jax_enable_compilation_cache", False)
    reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    reset_cache()


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder with train/, val/ and test/, 12 classes named 0 to 11; 8, 2 and 2 images of each."""
    return small_run.write_images(tmp_path_factory.mktemp("images"), {"train": 8, "val": 2, "test": 2})


@pytest.fixture(scope="session")
def run(images, tmp_path_factory):
    """A finished run on these images; read only."""
    output = tmp_path_factory.mktemp("runs") / "small"
    small_run.train(output, images, checkpoint_every=3)
    return output
