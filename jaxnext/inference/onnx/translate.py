"""The traced program translated into a graph, operation by operation."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnext import compat
from jaxnext.inference.onnx import elementwise, indexing, products, reductions, shapes
from jaxnext.inference.onnx.graph import Graph, Value
from jaxnext.inference.onnx.trace import Program
from jaxnext.ops import pooling

_RULES = {**elementwise.RULES, **shapes.RULES, **indexing.RULES, **reductions.RULES, **products.RULES}
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters that hold the program of an operation that only calls it."""
_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
)
_INT32 = 6
"""ONNX's number for the dtype."""
_NOTHING = (
    "copy",
    "copy_p",
    "name",
    "stop_gradient",
    "optimization_barrier",
    "sharding_constraint",
    "pvary",
)


def translate(graph: Graph, program: Program, images: Value) -> Value:
    """Add a net to a graph.

    Args:
        graph: that receives nodes and constants.
        program: the net's.
        images: normalised, of the shape that it was traced with.

    Returns:
        the logits.

    Raises:
        JaxnextError: an operation that has no translation; names the module that it is in.
    """
    leaves = [Value(leaf.shape, name, leaf, tuple(range(leaf.ndim))) for name, leaf in program.leaves.items()]
    (logits,) = _run(graph, program.jaxpr, [*leaves, images], "")
    return graph.whole(graph.arranged(logits, tuple(range(len(logits.shape)))))


def _run(graph: Graph, closed: Any, arguments: Sequence[Value], scope: str) -> list[Value]:
    """Translate a program; ``scope`` is of the operation that calls it."""
    jaxpr, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
    values: dict[Any, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
    values |= {variable: _constant(const) for variable, const in zip(jaxpr.constvars, consts, strict=True)}

    def read(variable: Any) -> Value:
        return _constant(variable.val, variable.aval.dtype) if hasattr(variable, "val") else values[variable]

    for equation in jaxpr.eqns:
        graph.scope = "/".join(filter(None, (scope, compat.scope_of(equation)))).removeprefix("Classifier/")
        given = [read(variable) for variable in equation.invars]
        if _is_max_pool(equation):
            (result,) = equation.outvars
            values[result] = reductions.max_pool(graph, *given, shape=result.aval.shape, size=3, stride=2, padding=1)
        else:
            values |= zip(equation.outvars, _translated(graph, equation, given), strict=True)
    return [read(variable) for variable in jaxpr.outvars]


def _translated(graph: Graph, equation: Any, given: list[Value]) -> list[Value]:
    name, parameters = equation.primitive.name, equation.params
    if name in _NOTHING:
        return given
    if name in _CALLS:
        inner = next(parameters[key] for key in _INNER if key in parameters)
        return _run(graph, inner, given, graph.scope)
    if name == "cond" and given[0].data is not None:
        return _run(graph, parameters["branches"][int(given[0].data)], given[1:], graph.scope)
    if name == "platform_index":
        # Any of the branches computes the same; that for other platforms is written with XLA's plain operations.
        return [_constant(np.int32(parameters["platforms"].index(None) if None in parameters["platforms"] else 0))]
    results = [variable.aval for variable in equation.outvars]
    if name == "dim_as_value":
        number = graph.add("Squeeze", [graph.images(parameters["dim"])])
        return [Value((), graph.add("Cast", [number], to=_INT32))]
    if name != "broadcast_in_dim" and (computed := _computed(graph, equation, given)) is not None:
        return computed
    if name not in _RULES and name not in indexing.SEVERAL:
        raise graph.refused(f"JAX's {name}")
    if name == "select_n" and len(given) != 3:
        raise graph.refused("a choice between more than two")
    if name in ("and", "or", "not", "xor") and results[0].dtype != np.bool_:
        raise graph.refused(f"JAX's {name} of integers")
    if name in indexing.SEVERAL:
        return indexing.SEVERAL[name](graph, *given, shapes=[result.shape for result in results], **parameters)
    (result,) = results
    return [_RULES[name](graph, *given, **{**parameters, "shape": result.shape, "dtype": np.dtype(result.dtype)})]


def _constant(number: Any, dtype: Any = None) -> Value:
    data = np.asarray(number, dtype)
    return Value(data.shape, "", data, tuple(range(data.ndim)))


def _computed(graph: Graph, equation: Any, given: list[Value]) -> list[Value] | None:
    """Compute what depends on constants alone, of sizes that are known; ``None`` for all else."""
    if not all(value.data is not None for value in given):
        return None
    known = all(isinstance(size, int) for value in (*given, *map(_aval, equation.outvars)) for size in value.shape)
    if equation.primitive.name in elementwise.RULES and any(value.spread for value in given):
        # As small as it is, and stretched later.
        shape = np.broadcast_shapes(*(tuple(map(value.size, range(len(value.shape)))) for value in given))
        arrays = [
            np.broadcast_to(value.data, shape if value.shape else ()) for value in given if value.data is not None
        ]
    elif known:
        arrays = [graph.whole(value).data for value in given]
    else:
        return None
    found = equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params)
    results = found if equation.primitive.multiple_results else [found]
    values = []
    for result, variable in zip(results, equation.outvars, strict=True):
        wanted = variable.aval.shape
        spread = frozenset(axis for axis, size in enumerate(wanted) if size != 1 and result.shape[axis] == 1)
        values.append(
            dataclasses.replace(_constant(result), shape=wanted, spread=spread, name=given[0].name if given else "")
        )
    return values


def _aval(variable: Any) -> Any:
    return variable.aval


def _is_max_pool(equation: Any) -> bool:
    """Return whether an operation is ``ops.pooling.max_pool``."""
    if equation.primitive.name != "custom_vjp_call" or len(equation.invars) != 1:
        return False
    x = equation.invars[0].aval
    if len(x.shape) != 4:
        return False
    (pool,) = jax.make_jaxpr(pooling.max_pool)(jax.ShapeDtypeStruct(x.shape, x.dtype)).jaxpr.eqns
    return _text(pool) == _text(equation)


def _text(equation: Any) -> str:
    parameters: Mapping[str, Any] = equation.params
    return next(str(parameters[key]) for key in _INNER if key in parameters)
