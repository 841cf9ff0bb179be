import platform
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from benchmarks import machine

from jaxnext.errors import JaxnextError


def test_cpu_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3.0 GHz: fast\nmodel name\t: other\n")
    assert machine.cpu_name(tmp_path / "cpuinfo") == "Some CPU @ 3.0 GHz: fast"
    assert machine.cpu_name(tmp_path / "none") == (platform.processor() or platform.machine())


def test_a_donated_argument_counts_once():
    x = jnp.ones((256, 256))

    def needed(**options):
        return machine.compiled_bytes(jax.jit(lambda x: x + 1, **options).lower(x).compile())

    assert needed() == 2 * 4 * 256**2
    assert needed(donate_argnums=0) == 4 * 256**2


def test_a_cpu_counts_no_peak():
    assert machine.device_peak_bytes() is None


def test_a_candidate_on_a_cpu_waits_for_each_call():
    x = jnp.ones((300, 300))
    candidate = machine.jax_candidate("product", jax.jit(lambda: x @ x))
    assert candidate.name == "product"
    assert candidate.call().is_ready()


def fake_torch(cuda: bool) -> SimpleNamespace:
    return SimpleNamespace(
        __version__="9.9",
        cuda=SimpleNamespace(is_available=lambda: cuda),
        backends=SimpleNamespace(cudnn=SimpleNamespace()),
        set_num_threads=lambda threads: None,
        manual_seed=lambda seed: None,
        set_float32_matmul_precision=lambda precision: None,
    )


@pytest.mark.parametrize(
    ("backend", "cuda", "device"), [("cpu", False, "cpu"), ("cpu", True, "cpu"), ("gpu", True, "cuda")]
)
def test_pytorch_runs_where_jax_does(backend, cuda, device, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert machine.prepare_torch(fake_torch(cuda)) == device


@pytest.mark.parametrize(("backend", "cuda"), [("gpu", False), ("tpu", True)])
def test_a_device_that_pytorch_cannot_use_is_refused(backend, cuda, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    with pytest.raises(
        JaxnextError, match=rf"^jax runs on a {backend} that torch 9\.9 cannot use; .*JAX_PLATFORMS=cpu"
    ):
        machine.prepare_torch(fake_torch(cuda))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_ceilings(precision, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(machine, "MATMUL_SIZES", {"cpu": (32, 64)})
    monkeypatch.setattr(machine, "COPY_BYTES", {"cpu": 2**16})
    found = machine.ceilings(torch, "cpu", precision)
    assert list(found) == ["jax_matmul_flops_per_second", "torch_matmul_flops_per_second", "copy_bytes_per_second"]
    assert all(1e4 < value < 1e15 for value in found.values())


def test_description():
    described = machine.describe()
    assert described["cores"] >= 1
    assert (described["gpu"], described["driver"]) == (None, None)
    versions = described["versions"]
    assert list(versions)[:5] == ["python", "jax", "jaxlib", "flax", "optax"]
    assert versions["jax"] == jax.__version__
