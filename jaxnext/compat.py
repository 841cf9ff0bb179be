"""Names of other libraries that are not part of their interfaces: where each is from, and what happens without it.

Nothing here imports JAX before a function is called: ``--help`` does without it. Those of oneDNN, which the folder of
the operations must know by itself, stand in ``ops/cpu/onednn.py``.
"""

import asyncio
import contextlib
import functools
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from jaxnext.errors import JaxnextError

XlaOptions = Mapping[str, bool | int | str]

# XLA's options, as ``jax.jit(..., compiler_options=...)`` takes them (jaxlib 0.10.0 to 0.12.0;
# https://github.com/openxla/xla/blob/main/xla/xla.proto, DebugOptions). Without one ``known_options`` leaves it out:
# programs compute the same and take more time or memory, as it says beside each.

XLA_ON_CPU: XlaOptions = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
"""XLA's default on the CPU orders operations so that many can run at once. On two cores that gains nothing, and every
activation lives longer: a quarter more memory."""

XLA_INFERENCE_ON_CPU: XlaOptions = {
    **XLA_ON_CPU,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
}
"""Products and sums by XLA's CPU library, but convolutions, which it computes on one thread, by XLA itself: 2 % less
time. In training other operations run beside them, and this gains nothing."""

XLA_QUICK_COMPILATION: XlaOptions = {"xla_backend_optimization_level": 0}
"""Without LLVM's optimisations, for a program that runs once: it compiles in less time."""

# Names of the events that ``jax.monitoring`` tells its listeners (jax 0.10.0 to 0.12.0;
# https://github.com/jax-ml/jax/blob/main/jax/_src/compiler.py and dispatch.py). Without them the line that reports
# compilation says of every program that it was compiled.

EVENT_FOUND_IN_CACHE = "/jax/compilation_cache/cache_hits"
EVENT_COMPILED_OR_FOUND = "/jax/core/compile/backend_compile_duration"


def known_options(options: XlaOptions, device: Any) -> dict[str, bool | int | str]:
    """Return the options of XLA that a device's compiler knows; any other would end every compilation.

    Args:
        options: names and values.
        device: of this process.
    """
    return {name: value for name, value in options.items() if _is_known(name, value, device)}


def unknown_options(options: XlaOptions, device: Any) -> tuple[str, ...]:
    """Return the names of those that ``known_options`` leaves out."""
    return tuple(name for name, value in options.items() if not _is_known(name, value, device))


@functools.cache
def _is_known(name: str, value: bool | int | str, device: Any) -> bool:
    """Try an option, once in a process, on a program that does nothing."""
    import jax

    try:
        with jax.ensure_compile_time_eval(), jax.default_device(device):
            jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def coordination() -> tuple[Any, int, int]:
    """Return JAX's client of the coordination service, by which its own modules share keys, and this process's place.

    ``jax._src.distributed.global_state`` (jax 0.10.0 to 0.12.0;
    https://github.com/jax-ml/jax/blob/main/jax/_src/distributed.py); Orbax takes it from there, too.

    Returns:
        The client, ``None`` in a run of one process; the index of this process and their number, which the public
        functions say only when the devices have been found, and that takes long.

    Raises:
        JaxnextError: it is gone: without it the processes of a run cannot tell each other that one has failed.
    """
    import jax

    try:
        from jax._src import distributed

        state = distributed.global_state
        return (state.client if state.num_processes > 1 else None), state.process_id, state.num_processes
    except (ImportError, AttributeError) as error:
        raise JaxnextError(
            f"--distributed: expected a JAX whose coordination service can be used, as 0.10 to 0.12, found "
            f"{jax.__version__} ({error})"
        ) from error


def cluster(address: str | None, seconds: int) -> tuple[str | None, int | None, int | None]:
    """Return where the cluster around this process has put process 0, the number of processes, and which this is.

    ``jax._src.clusters.ClusterEnv`` (jax 0.10.0 to 0.12.0;
    https://github.com/jax-ml/jax/blob/main/jax/_src/clusters/cluster.py). Without it ``jax.distributed.initialize``
    finds them out itself, and where process 0 is killed the others end with JAX's own message.

    Args:
        address: of process 0, where it is known.
        seconds: within which it has to be found.

    Returns:
        ``None`` for what is not known.

    Raises:
        ValueError, RuntimeError: as ``jax.distributed.initialize``.
    """
    try:
        from jax._src.clusters import ClusterEnv

        find = ClusterEnv.auto_detect_unset_distributed_params
    except (ImportError, AttributeError):
        return None, None, None
    found = find(address, None, None, None, None, seconds)
    return found[0], found[1], found[2]


def scope_of(equation: Any) -> str:
    """Return the path of the Flax module that an equation of a jaxpr was traced in, as Flax names its scopes.

    ``JaxprEqn.source_info.name_stack`` (jax 0.10.0 to 0.12.0;
    https://github.com/jax-ml/jax/blob/main/jax/_src/source_info_util.py). Without it the result is empty: errors and
    the nodes of exported nets then lack the module's name.
    """
    return str(getattr(getattr(equation, "source_info", None), "name_stack", ""))


@contextlib.contextmanager
def orbax_ended(seconds: float = 10) -> Iterator[None]:
    """Wait, where a save or a restore of Orbax's fails within the block, until all that it has begun has ended.

    Orbax leaves at the first file that fails: it closes its event loop, and what TensorStore answers of the others is
    a traceback each, "Event loop is closed"; and threads that still write for it log theirs when nobody expects them.
    ``asyncio_utils._run_sync_via_new_loop`` and ``futures.future._SignalingThread`` (orbax-checkpoint 0.12.8;
    https://github.com/google/orbax/tree/main/checkpoint/orbax/checkpoint/_src). Without them a failed call says what it
    says, with those tracebacks beside it.

    Args:
        seconds: for which threads are waited for at most.
    """
    from orbax.checkpoint._src import asyncio_utils
    from orbax.checkpoint._src.futures import future

    run = getattr(asyncio_utils, "_run_sync_via_new_loop", None)
    kind = getattr(future, "_SignalingThread", ())
    # Another thread may be within it, too.
    replaced = run is not None and run is not _run_to_the_end
    if replaced:
        asyncio_utils._run_sync_via_new_loop = _run_to_the_end  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    except BaseException:
        # Coroutines that were made and not begun say so when they are forgotten, after this.
        warnings.filterwarnings("ignore", r"coroutine '\w*Handler\.\w+' was never awaited", RuntimeWarning)
        for thread in threading.enumerate():
            if isinstance(thread, kind):
                # Its own ``join`` raises what the thread has raised.
                threading.Thread.join(thread, seconds)
        raise
    finally:
        if replaced:
            asyncio_utils._run_sync_via_new_loop = run  # pyright: ignore[reportPrivateUsage]


def _run_to_the_end(coroutine: Any) -> Any:
    """Run a coroutine in a loop of its own, as Orbax does; where it fails, the tasks it has begun come to their end."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(coroutine)
        except BaseException:
            if tasks := asyncio.all_tasks(loop):
                loop.run_until_complete(asyncio.wait(tasks))
            raise
    finally:
        asyncio.set_event_loop(None)
        loop.close()
