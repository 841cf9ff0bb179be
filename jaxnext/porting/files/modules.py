"""The state dict of a whole module (``torch.save(model)``), read from its parts without its class.

A module keeps its tensors in ``_parameters`` and ``_buffers`` and its submodules in ``_modules``; a module of a
TorchScript archive keeps all of them as plain attributes. The names are those that ``Module.state_dict`` gives.

Reference: ``torch/nn/modules/module.py`` (``_save_to_state_dict``), ``torch/fx/graph_module.py``
(``reduce_graph_module``).
"""

from typing import Final

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import MAX_NAME, Placeholder, Tensor, Unread, name_too_long

_SCRIPT: Final = "__torch__."
"""How the names of TorchScript's classes begin."""

_COST: Final = 100
"""Of a module or tensor, beside the length of its name; as many bytes at least describe it in a file."""


class Budget:
    """What may be spent on names: modules that share their parts have more tensors than their file has bytes."""

    def __init__(self, size: int):
        """Make the budget of a pickle of ``size`` bytes."""
        self._left = 16 * size + 16_384

    def spend(self, name: str) -> None:
        """Take what a name costs.

        Raises:
            JaxnextError: nothing is left.
        """
        self._left -= _COST + len(name)
        if self._left < 0:
            raise JaxnextError("its modules contain one another over and over")


def is_module(value: object) -> bool:
    """Return whether an object of the pickle is a module, or one of a TorchScript archive."""
    return isinstance(value, Placeholder) and _attributes(value) is not None


def module_tensors(module: object, budget: Budget) -> dict[str, Tensor | Unread]:
    """Return the tensors of a module and of all in it, by dotted names, in the order of its ``state_dict()``.

    Args:
        module: for which ``is_module`` holds.
        budget: of its file.

    Raises:
        JaxnextError: its modules contain one another, or a name has more than ``MAX_NAME`` characters.
    """
    found: dict[str, Tensor | Unread] = {}
    waiting = [("", module)]
    while waiting:
        prefix, current = waiting.pop()
        budget.spend(prefix)
        if len(prefix) > MAX_NAME:
            name_too_long(prefix)
        tensors, inner = _parts(current)
        for key, value in tensors.items():
            name = f"{prefix}{key}"
            budget.spend(name)
            if len(name) > MAX_NAME:
                name_too_long(name)
            found[name] = value
        waiting += [(f"{prefix}{key}.", each) for key, each in reversed(inner.items())]
    return found


def _attributes(value: Placeholder) -> dict[str | int, object] | None:
    """Return a module's attributes; ``None`` of what is no module."""
    # A module with a ``__getstate__`` may give a pair, of which the second half are slots; a graph hands its
    # attributes to the function that would rebuild it.
    states = [value.state, *(value.state if type(value.state) is tuple else ()), *value.arguments[:1]]
    for state in states:
        if type(state) is dict and (
            value.name.startswith(_SCRIPT)
            or (type(state.get("_parameters")) is dict and type(state.get("_modules")) is dict)
        ):
            return state
    return None


def _parts(module: object) -> tuple[dict[str | int, Tensor | Unread], dict[str | int, object]]:
    """Return the tensors and the submodules that a module has itself."""
    attributes = _attributes(module) if isinstance(module, Placeholder) else None
    if attributes is None:
        return {}, {}
    if isinstance(module, Placeholder) and module.name.startswith(_SCRIPT):
        tensors, modules, left_out = attributes, attributes, []
    else:
        buffers = attributes.get("_buffers")
        left_out = attributes.get("_non_persistent_buffers_set")
        left_out = [name for name in left_out if type(name) is str] if type(left_out) is list else []
        tensors = {**_dict(attributes.get("_parameters")), **_dict(buffers)}
        modules = _dict(attributes.get("_modules"))
    return (
        {key: item for key, item in tensors.items() if isinstance(item, Tensor | Unread) and key not in left_out},
        {key: item for key, item in modules.items() if is_module(item)},
    )


def _dict(value: object) -> dict[str | int, object]:
    return value if type(value) is dict else {}
