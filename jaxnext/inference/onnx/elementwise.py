"""Operations that take values one by one, and how their operands are broadcast."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnext.inference.onnx.graph import Dim, Graph, Value, image_axes

Rule = Callable[..., Value]
"""Of a graph, the operands, and by name the operation's parameters and ``shape`` and ``dtype`` of its result."""


def together(graph: Graph, values: Sequence[Value], shape: tuple[Dim, ...], join: Callable[[list[str]], str]) -> Value:
    """Return what an operation gives that takes values one by one.

    Args:
        graph: that receives the nodes.
        values: operands, with the result's number of axes or none.
        shape: of the result.
        join: adds the nodes; is given the operands' names, returns the result's.
    """
    computed = [value.axes for value in values if value.data is None and len(value.axes) == len(shape)]
    axes = computed[0] if computed else image_axes(len(shape))
    laid = [graph.arranged(value, axes) if len(value.shape) == len(shape) else value for value in values]
    spread = frozenset(
        axis
        for axis, size in enumerate(shape)
        if size != 1 and all(not value.shape or value.size(axis) == 1 for value in laid)
    )
    return Value(shape, join([_read(graph, value, bool(computed)) for value in laid]), axes=axes, spread=spread)


def _read(graph: Graph, value: Value, short: bool) -> str:
    """Return an operand's name. Beside another of all axes a constant needs no leading ones of size 1."""
    if value.data is None or not short:
        return graph.name_of(value)
    data = value.data.transpose(value.axes)
    while data.ndim and data.shape[0] == 1:
        data = data[0]
    return graph.constant(data, value.name)


def _one(op: str, **attributes: Any) -> Rule:
    """Return the rule of an operation that is a node of ONNX."""

    def rule(graph: Graph, *values: Value, shape: tuple[Dim, ...], **_: Any) -> Value:
        return together(graph, values, shape, lambda names: graph.add(op, names, **attributes))

    return rule


def _several(join: Callable[..., str]) -> Rule:
    """Return the rule of an operation that is several nodes.

    Args:
        join: of the graph and the operands' names, and, by name, the parameters and ``dtype``; returns the result's.
    """

    def rule(graph: Graph, *values: Value, shape: tuple[Dim, ...], **parameters: Any) -> Value:
        return together(graph, values, shape, lambda names: join(graph, *names, **parameters))

    return rule


def _number(graph: Graph, number: float, dtype: np.dtype) -> str:
    return graph.constant(np.array(number, dtype))


def _integer_pow(graph: Graph, x: str, y: int, dtype: np.dtype, **_: Any) -> str:
    if y == 2:
        return graph.add("Mul", [x, x])
    return graph.add("Pow", [x, _number(graph, y, dtype)])


def _rsqrt(graph: Graph, x: str, **_: Any) -> str:
    return graph.add("Reciprocal", [graph.add("Sqrt", [x])])


def _erfc(graph: Graph, x: str, dtype: np.dtype, **_: Any) -> str:
    return graph.add("Sub", [_number(graph, 1, dtype), graph.add("Erf", [x])])


def _log1p(graph: Graph, x: str, dtype: np.dtype, **_: Any) -> str:
    return graph.add("Log", [graph.add("Add", [x, _number(graph, 1, dtype)])])


def _expm1(graph: Graph, x: str, dtype: np.dtype, **_: Any) -> str:
    return graph.add("Sub", [graph.add("Exp", [x]), _number(graph, 1, dtype)])


def _exp2(graph: Graph, x: str, dtype: np.dtype, **_: Any) -> str:
    return graph.add("Pow", [_number(graph, 2, dtype), x])


def _not_equal(graph: Graph, x: str, y: str, **_: Any) -> str:
    return graph.add("Not", [graph.add("Equal", [x, y])])


def _remainder(graph: Graph, x: str, y: str, **_: Any) -> str:
    return graph.add("Mod", [x, y], fmod=1)


def _round(graph: Graph, x: str, rounding_method: Any, **_: Any) -> str:
    if int(rounding_method) != 1:
        raise graph.refused("rounding of halves away from zero")
    return graph.add("Round", [x])


def _clamp(graph: Graph, low: str, x: str, high: str, **_: Any) -> str:
    return graph.add("Min", [graph.add("Max", [x, low]), high])


def _convert(graph: Graph, x: str, dtype: np.dtype, **_: Any) -> str:
    from onnx import helper

    return graph.add("Cast", [x], to=int(helper.np_dtype_to_tensor_dtype(dtype)))


def _finite(graph: Graph, x: str, **_: Any) -> str:
    nothing = graph.add("Or", [graph.add("IsInf", [x]), graph.add("IsNaN", [x])])
    return graph.add("Not", [nothing])


def _select(graph: Graph, which: Value, *cases: Value, shape: tuple[Dim, ...], **_: Any) -> Value:
    no, yes = cases  # of a condition; more are refused before
    return together(graph, (which, yes, no), shape, lambda names: graph.add("Where", names))


_NODES = {
    "add": "Add",
    "add_any": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "pow": "Pow",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "erf": "Erf",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "and": "And",
    "or": "Or",
    "not": "Not",
    "xor": "Xor",
}

RULES: Mapping[str, Rule] = {
    **{primitive: _one(op) for primitive, op in _NODES.items()},
    "integer_pow": _several(_integer_pow),
    "square": _several(lambda graph, x, **_: graph.add("Mul", [x, x])),
    "rsqrt": _several(_rsqrt),
    "erfc": _several(_erfc),
    "log1p": _several(_log1p),
    "expm1": _several(_expm1),
    "exp2": _several(_exp2),
    "ne": _several(_not_equal),
    "rem": _several(_remainder),
    "round": _several(_round),
    "clamp": _several(_clamp),
    "convert_element_type": _several(_convert),
    "is_finite": _several(_finite),
    "select_n": _select,
}
"""By the name of JAX's primitive."""
