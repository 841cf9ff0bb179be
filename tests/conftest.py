"""Four CPU devices for every test, so that one, two and four can be compared; one small run shared by many tests."""

import gc
import os
import threading

import jax
import pytest
import small_run
from live_seed import SEED
from shared_programs import share
from uncached import uncached

jax.config.update("jax_num_cpu_devices", 4)
# LLVM's optimisation is half of a compilation, and most programs here run once, those of the tests' own processes too.
# It changes how values round, which no test may depend on.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
# XLA's older emitters compile a step in half of the time. It reads this when it first compiles, and ends where it does
# not know the flag (jaxlib 0.10 to 0.12 do).
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
# What NumPy would stretch along new axes without a word is a mistake more often than meant.
jax.config.update("jax_numpy_rank_promotion", "raise")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core: PyTorch's threads would wait for each other longer than they compute.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tracing makes objects by the million, and hardly a cycle: looking for them is a tenth of the time.
gc.set_threshold(50_000, 20, 100)


GROUPS = {
    "steps in float64 and float32": ("test_golden", "test_exact"),
    "nets of onnx": ("test_inference_onnx_model", "test_onnx", "test_translate", "test_trace"),
    "small runs": (
        *("test_beginning", "test_epochs", "test_epoch", "test_epoch_end", "test_saving", "test_run", "test_fit"),
        *("test_checkpoint", "test_distributed", "test_length_of_runs", "test_whole_recipe"),
        *("test_inference_predict", "test_inference_evaluate", "test_inference_classifier"),
        *("test_predictor", "test_ensemble", "test_inference_report"),
        *("test_weights_average", "test_soup_images", "test_monitor"),
        *("test_explain", "test_overlays", "test_report_overlays", "test_serve_in_chromium"),
        "test_inference_onnx_backend",
        *("test_embeddings", "test_inference_similar", "test_inference_sorting_sort"),
        *("test_inference_export", "test_stablehlo", "test_weights_exporter", "test_safetensors", "test_readme"),
        *("test_inference_calibrate", "test_cli_calibrate", "test_inference_verify", "test_cli_verify"),
        *("test_trained", "test_inference_compare"),
    ),
}
"""Test files that share compiled programs or the small run; ``pytest -n 2`` runs those of a group in one process.

Every other file is a group of its own, so that its fixtures are made once.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tell pytest-xdist's ``--dist loadgroup`` what to keep together."""
    of = {file: group for group, files in GROUPS.items() for file in files}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(of.get(item.path.stem, item.path.stem)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What failed says the seed that repeats it."""
    report = yield
    if report.failed:
        report.sections.append(("seed of the live comparisons", f"JAXNEXT_TEST_SEED={SEED}"))
    return report


@pytest.fixture(scope="module", autouse=True)
def _small_heap():
    """Forget a file's programs after it: thousands of them make each full garbage collection take seconds."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def _compile_once(request, tmp_path_factory):
    """Programs that several tests compile are compiled once, by whichever worker or session comes first."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("programs") if cache else tmp_path_factory.mktemp("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    # With a limit, the cache locks the folder, so that no worker reads what another has half written.
    jax.config.update("jax_compilation_cache_max_size", 2**31)


@pytest.fixture(scope="session", autouse=True)
def _traced_once(_compile_once):
    """Runs of the same small net share what is traced of it."""
    with pytest.MonkeyPatch.context() as patch:
        share(patch)
        yield


@pytest.fixture(autouse=True)
def _no_curves(request):
    """Curves after each epoch take half of the time of a small run, as do pictures; the shared ``run`` has its own."""
    # Not the tests' monkeypatch, which would then be undone after the fixtures that tests need it to be undone before.
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("draws_curves") is None:
            patch.setattr("jaxnext.reporting.curves.draw_curves", lambda history, output: None)
            patch.setattr("jaxnext.training.monitor.Monitor.first_batch", lambda self, host: 0.0)
            patch.setattr("jaxnext.training.monitor.Monitor.validation_batch", lambda self, host: None)
        yield


@pytest.fixture
def onednn_calls():
    """Without the compilation cache, so that convolutions in float32 are computed by oneDNN where it works."""
    with uncached():
        yield


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder with train/, val/ and test/, 12 classes named 0 to 11; 8, 2 and 2 images of each."""
    return small_run.write_images(tmp_path_factory.mktemp("images"), {"train": 8, "val": 2, "test": 2})


@pytest.fixture(scope="session")
def run(images, tmp_path_factory):
    """A finished run on these images; read only."""
    output = tmp_path_factory.mktemp("runs") / "small"
    small_run.train(output, images, checkpoint=small_run.EVERY_THIRD)
    return output


@pytest.fixture
def ended(monkeypatch):
    """Threads that have ended their process, and the status, as a list; a second stands for 20."""
    from ends import Left

    from jaxnext.cli import watch

    ends = []

    def end(status):
        ends.append((threading.current_thread().name, status))
        raise Left

    monkeypatch.setattr(watch, "end_process", end)
    monkeypatch.setattr(watch, "SILENCE", 1)
    for name, seconds in {"POLL": 0.025, "BEAT": 0.05, "FAREWELL": 0.5, "SUSPICIOUS": 0.2}.items():
        monkeypatch.setattr(watch, f"_{name}_SECONDS", seconds)
    return ends
