import contextlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.config.sections import ModelConfig
from jaxnext.engine.network import network
from jaxnext.models.initialisation import initialise
from jaxnext.ops.cpu import onednn

on_x86_linux = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="oneDNN is used on Linux and x86-64"
)
AROUND = ((1, 1), (1, 1))


@pytest.fixture(autouse=True)
def _fresh(onednn_calls):
    onednn.is_available.cache_clear()
    onednn.multiplies.cache_clear()
    yield
    onednn.is_available.cache_clear()
    onednn.multiplies.cache_clear()


@on_x86_linux
def test_works_with_the_jaxlib_tested() -> None:
    assert onednn.is_available()
    assert onednn.why_unavailable(jnp.float32) is None


@on_x86_linux
def test_works_is_asked_inside_of_a_trace() -> None:
    asked = []

    @jax.jit
    def traced(x: jax.Array) -> jax.Array:
        asked.append(onednn.is_available())
        return x

    traced(jnp.zeros(2))
    assert asked == [True]


@on_x86_linux
def test_by_hand() -> None:
    x = jnp.arange(1.0, 9.0).reshape(1, 2, 2, 2)  # channels 1 3 / 5 7 and 2 4 / 6 8, each its own group
    kernel = jnp.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]).reshape(2, 2, 1, 2)
    one = jax.jit(lambda x, kernel: onednn.convolve(x, kernel, 1, ((0, 0), (0, 0)), 1, 2))(x, kernel)
    assert one.tolist() == [[[[1 + 6 + 15 + 28, 20 + 80 + 180 + 320]]]]
    # Only the last value of the kernel meets the first of the image; the next window lies two further.
    kernel = kernel.reshape(2, 2, 2, 1)  # both channels in one group
    spread = jax.jit(lambda x, kernel: onednn.convolve(x, kernel, 2, ((2, 1), (2, 1)), 2, 1))(x, kernel)
    assert spread[0, :, :, 0].tolist() == [[4 * 1 + 40 * 2, 3 * 1 + 30 * 2], [2 * 1 + 20 * 2, 1 * 1 + 10 * 2]]


@on_x86_linux
def test_what_follows_the_convolution() -> None:
    x, kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2), jnp.array([1.0, 10.0]).reshape(1, 1, 1, 2)
    bias, residual = jnp.array([0.5, -30.0]), jnp.array([[-9.0, 1.0], [0.0, -20.0]]).reshape(1, 1, 2, 2)

    def follow(**options: jax.Array | bool) -> list[list[float]]:
        call = jax.jit(lambda x, kernel: onednn.convolve(x, kernel, 1, ((0, 0), (0, 0)), 1, 2, **options))
        return call(x, kernel)[0, 0].tolist()

    assert follow() == [[1, 20], [3, 40]]
    assert follow(bias=bias) == [[1.5, -10], [3.5, 10]]
    assert follow(residual=residual) == [[-8, 21], [3, 20]]
    assert follow(bias=bias, residual=residual) == [[-7.5, -9], [3.5, -10]]
    assert follow(bias=bias, residual=residual, relu=True) == [[0, 0], [3.5, 0]]


@on_x86_linux
def test_another_order_of_the_kernels_axes() -> None:
    x = jnp.arange(1.0, 9.0).reshape(1, 2, 2, 2)
    kernel = jnp.arange(1.0, 25.0).reshape(2, 2, 2, 3)
    none = ((0, 0), (0, 0))
    expected = jax.jit(lambda x, kernel: onednn.convolve(x, kernel, 1, none, 1, 1))(x, kernel)
    turned = jnp.transpose(kernel, (2, 0, 1, 3))
    found = jax.jit(lambda x, kernel: onednn.convolve(x, kernel, 1, none, 1, 1, kernel_axes="IHWO"))(x, turned)
    assert found.tolist() == expected.tolist() == [[[[540, 576, 612]]]]


# Without AVX-512 oneDNN would multiply in threads within threads.
@on_x86_linux
@pytest.mark.skipif(not onednn._has("avx512bw", "avx512dq", "avx512vl"), reason="it is used with AVX-512")
def test_a_transposed_product() -> None:
    assert onednn.multiplies()
    x, y = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), jnp.array([[1.0], [10.0], [100.0]])
    assert jax.jit(onednn.transposed_product)(x, y).tolist() == [[531], [642]]


def test_a_product_of_other_arrays() -> None:
    with pytest.raises(ValueError, match=r"matrices of as many rows, found float32\[3, 2\] and float32\[2, 3\]"):
        onednn.transposed_product(jnp.zeros((3, 2)), jnp.zeros((2, 3)))


def test_a_bias_or_residual_of_another_shape() -> None:
    x, kernel = jnp.zeros((1, 2, 2, 4)), jnp.zeros((1, 1, 4, 3))
    with pytest.raises(ValueError, match=r"expected a bias of float32\[3\], found float32\[4\]"):
        onednn.convolve(x, kernel, 1, ((0, 0), (0, 0)), 1, 1, bias=jnp.zeros(4))
    with pytest.raises(ValueError, match=r"expected a residual of float32\[1, 2, 2, 3\], found float32\[3\]"):
        onednn.convolve(x, kernel, 1, ((0, 0), (0, 0)), 1, 1, residual=jnp.zeros(3))


@pytest.mark.parametrize("flags", ["fpu avx2", "fpu avx2 avx512f avx512dq avx512bw"])
def test_no_product_without_avx512(flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(onednn, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(onednn, "is_available", lambda: True)
    monkeypatch.setattr(onednn, "transposed_product", None)
    assert not onednn.multiplies()


@on_x86_linux
def test_a_trial_of_the_product_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "transposed_product", lambda x, y: 2 * x.T @ y)
    assert not onednn.multiplies()


# oneDNN would hang or corrupt the memory.
def test_a_dilated_depthwise_kernel() -> None:
    x, kernel = jnp.zeros((2, 9, 12, 32)), jnp.zeros((1, 2, 1, 32))
    assert onednn.supports((1, 2, 1, 32), 1, 32)
    assert onednn.supports((1, 2, 1, 64), 3, 32)
    assert onednn.supports((1, 2, 2, 32), 3, 32)
    assert not onednn.supports((1, 2, 1, 32), 3, 32)
    with pytest.raises(ValueError, match=r"a depthwise kernel \[1, 2, 1, 32\] must not be dilated \(3\)"):
        onednn.convolve(x, kernel, 3, ((2, 2), (3, 1)), 3, 32)


# oneDNN would end the process for most of these.
@pytest.mark.parametrize(
    ("x", "kernel", "others", "message"),
    [
        (
            jnp.zeros((4, 4, 2)),
            jnp.zeros((3, 3, 1, 2)),
            {},
            r"of rank 4, found float32\[4, 4, 2\] and float32\[3, 3, 1, 2\]",
        ),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2)), {}, "of rank 4, found"),
        (
            jnp.zeros((1, 4, 4, 2)),
            jnp.zeros((3, 3, 1, 2), jnp.bfloat16),
            {},
            "in float32 and of rank 4, found float32.* bf",
        ),
        (jnp.zeros((1, 4, 4, 2), jnp.int32), jnp.zeros((3, 3, 1, 2), jnp.int32), {}, "in float32 and .*, found int32"),
        (jnp.zeros((1, 4, 4, 4)), jnp.zeros((3, 3, 1, 2)), {}, "channels in 2 groups, found"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 3)), {}, "channels in 2 groups, found"),
        (jnp.zeros((0, 4, 4, 2)), jnp.zeros((3, 3, 1, 2)), {}, "values, and channels"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 2)), {"stride": 0}, "at least 1 .*, found 0, 1 and"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 2)), {"dilation": 0}, "at least 1 .*, found 1, 0 and"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 2)), {"padding": ((0, 0), (-1, 1))}, "no negative padding"),
        (jnp.zeros((1, 2, 4, 2)), jnp.zeros((3, 3, 1, 2)), {"padding": ((0, 0), (0, 0))}, "as large as the kernel"),
    ],
)
def test_what_it_does_not_bear(x: jax.Array, kernel: jax.Array, others: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^onednn.convolve: expected .*{message}"):
        onednn.convolve(x, kernel, **({"stride": 1, "padding": AROUND, "dilation": 1, "groups": 2} | others))


@pytest.mark.parametrize("name", ["float64", "bfloat16"])
def test_other_dtypes(name: str) -> None:
    for dtype in (name, jnp.dtype(name), getattr(jnp, name)):
        assert onednn.why_unavailable(dtype) == f"it is used for float32, not for {name}"


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), jnp.float32])
def test_every_form_of_float32(dtype: jax.typing.DTypeLike, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "is_available", lambda: True)
    assert onednn.why_unavailable(dtype) is None


def test_switched_off_within_a_block_and_compiled_functions_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "is_available", lambda: True)
    seen: list[str | None] = []

    @jax.jit
    def traced(x: jax.Array) -> jax.Array:
        seen.append(onednn.why_unavailable("float32"))
        return x

    traced(jnp.zeros(2))
    with contextlib.suppress(KeyError), onednn.disabled():
        traced(jnp.zeros(2))
        with onednn.disabled("another reason"):
            traced(jnp.zeros(2))
        raise KeyError
    traced(jnp.zeros(2))
    assert seen == [None, "it is switched off", "another reason"]


@pytest.mark.slow
@on_x86_linux
def test_a_net_is_exported_without_it() -> None:
    config = ModelConfig(stage_sizes=(1,), widths=(8,), features=(16,), stem_features=8, groups=2)
    model = network(config, 3, "float32")
    x = jnp.ones((1, 32, 32, 3))
    variables = initialise(model, 0)

    @jax.jit
    def net(x: jax.Array) -> jax.Array:
        return model.apply(variables, x, train=False)

    with pytest.raises(ValueError, match=r"(?s)Cannot serialize code with custom calls .*__onednn\$conv"):
        jax.export.export(net)(x)
    with onednn.disabled():
        expected = net(x)
        written = jax.export.export(net)(x).serialize()
    found = jax.export.deserialize(written).call(x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert float(jnp.abs(expected).max()) > 0


@on_x86_linux
def test_not_where_programs_are_kept() -> None:
    jax.config.update("jax_enable_compilation_cache", True)
    expected = "the compilation cache is in use, which cannot keep programs that call it"
    assert onednn.why_unavailable(jnp.float32) == expected
    assert onednn.is_available()


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (platform, "system", "Darwin"),
        (platform, "machine", "aarch64"),
        *((metadata, "version", version) for version in ("0.13.0", "0.10.3", "0.11.1", "0.10.2.dev20260901", "0.10")),
    ],
)
def test_not_tried_elsewhere(owner: object, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, lambda *_: value)
    monkeypatch.setattr(onednn, "convolve", None)
    assert not onednn.is_available()
    assert onednn.why_unavailable(jnp.float32) == "this jaxlib is not known to have it"


@on_x86_linux
@pytest.mark.parametrize("wrong", ["missing", "other"])
def test_a_trial_that_fails(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    convolve = onednn.convolve
    if wrong == "missing":
        monkeypatch.setattr(onednn, "_TARGET", "__no_such_call")
    else:
        monkeypatch.setattr(onednn, "convolve", lambda x, kernel, *rest: 1.5 * convolve(x, kernel, *rest))
    assert not onednn.is_available()


@pytest.mark.parametrize("processor", [None, "model name\t: avx2\nflags\t\t: fpu sse4_1 avx avx2_not\n"])
def test_without_avx2(processor: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if processor:
        cpuinfo.write_text(processor)
    monkeypatch.setattr(onednn, "_CPUINFO", cpuinfo)
    monkeypatch.setattr(onednn, "convolve", None)
    assert not onednn.is_available()


def test_without_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(backend: str) -> list[jax.Device]:
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", missing)
    assert not onednn.is_available()
