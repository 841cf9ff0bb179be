"""Each of these fails where a new version of a library no longer has a name that ``compat`` takes from its inside."""

import asyncio
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax._src import distributed

from jaxnext import compat
from jaxnext.errors import JaxnextError

CPU = jax.devices("cpu")[0]


@pytest.mark.parametrize("options", [compat.XLA_ON_CPU, compat.XLA_INFERENCE_ON_CPU, compat.XLA_QUICK_COMPILATION])
def test_this_jaxlib_knows_the_options(options: compat.XlaOptions) -> None:
    assert compat.unknown_options(options, CPU) == ()
    assert compat.known_options(options, CPU) == options


def test_an_option_or_a_value_that_jaxlib_does_not_know_is_left_out() -> None:
    options = {
        "xla_no_such_option": True,
        **compat.XLA_ON_CPU,
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_NO_SUCH",
    }
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option: 'xla_no_such_option'"):
        jax.jit(lambda x: x, compiler_options=options)(1.0)
    assert compat.known_options(options, CPU) == compat.XLA_ON_CPU
    assert compat.unknown_options(options, CPU) == ("xla_no_such_option", "xla_cpu_experimental_ynn_fusion_type")


def test_options_are_tried_once_and_inside_of_a_trace() -> None:
    before = compat._is_known.cache_info()

    @jax.jit
    def traced(x: jax.Array) -> jax.Array:
        assert compat.unknown_options({"xla_another_made_up": 1}, CPU) == ("xla_another_made_up",)
        return x

    traced(jnp.zeros(2))
    assert compat.unknown_options({"xla_another_made_up": 1}, CPU) == ("xla_another_made_up",)
    after = compat._is_known.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 1)


def test_jax_tells_of_compilations_and_of_programs_found(tmp_path: Any) -> None:
    code = (
        "import jax\n"
        "from jaxnext import compat\n"
        "heard = []\n"
        "jax.monitoring.register_event_listener(lambda event, **_: heard.append(event))\n"
        "jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: heard.append(event))\n"
        f"jax.config.update('jax_compilation_cache_dir', {str(tmp_path)!r})\n"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
        "def compile():\n"
        "    heard.clear()\n"
        "    jax.jit(lambda x: jax.numpy.sin(x) * 3).lower(0.5).compile()\n"
        "    return [heard.count(name) for name in (compat.EVENT_COMPILED_OR_FOUND, compat.EVENT_FOUND_IN_CACHE)]\n"
        "print(compile(), compile())\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == "[1, 0] [1, 1]\n", found.stderr


def test_a_run_of_one_process_has_no_coordination() -> None:
    assert distributed.global_state.num_processes == 1
    assert compat.coordination() == (None, 0, 1)


def test_the_coordination_client_of_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "global_state", SimpleNamespace(client="client", num_processes=2, process_id=1))
    assert compat.coordination() == ("client", 1, 2)


def test_the_cluster_around_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compat.cluster(None, 1) == (None, None, None)
    monkeypatch.setenv("OMPI_MCA_orte_hnp_uri", "1531576320.0;tcp://10.96.0.1:34911")
    for name, value in {"SIZE": "3", "RANK": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", value)
    assert compat.cluster("host:7", 1) == ("host:7", 3, 2)
    address, number, index = compat.cluster(None, 1)
    assert (address or "").startswith("10.96.0.1:")
    assert (number, index) == (3, 2)
    monkeypatch.delattr("jax._src.clusters.ClusterEnv")
    assert compat.cluster(None, 1) == (None, None, None)


def test_a_jax_without_that_client_is_an_error_of_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(distributed, "global_state")
    with pytest.raises(JaxnextError, match=f"^--distributed: expected a JAX .*, found {jax.__version__} "):
        compat.coordination()


def test_what_a_failed_save_has_begun_comes_to_its_end() -> None:
    from orbax.checkpoint._src import asyncio_utils
    from orbax.checkpoint._src.futures import future

    ended: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        ended.append("task")

    async def save() -> None:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        raise OSError("full", task)

    def write() -> None:
        time.sleep(0.1)
        ended.append("thread")

    before = asyncio_utils._run_sync_via_new_loop
    # What still writes for it at that time.
    future._SignalingThread(target=write, send_signals=[], receive_signals=[]).start()
    with pytest.raises(OSError, match="full"), compat.orbax_ended():
        asyncio_utils.run_sync(save())
    assert ended == ["task", "thread"]
    assert asyncio_utils._run_sync_via_new_loop is before


def test_equations_say_the_module_that_they_are_of() -> None:
    class Head(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return nn.Dense(2, name="output")(x)

    variables = {"params": {"output": {"kernel": jnp.zeros((3, 2)), "bias": jnp.zeros(2)}}}
    (product, *_) = jax.make_jaxpr(Head().apply)(variables, jnp.zeros((1, 3))).jaxpr.eqns
    assert compat.scope_of(product) == "Head/output"
    assert compat.scope_of(SimpleNamespace()) == ""
