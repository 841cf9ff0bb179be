"""State dicts of whole modules, read from their parts."""

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.modules import Budget, is_module, module_tensors
from jaxnext.porting.files.pickle_names import Placeholder, Storage, Tensor, Unread

A, B, C = (Tensor(Storage(key, "float32", 1, None), "float32", 0, (1,), (1,)) for key in "abc")


def module(name: str = "net.Net", **attributes: object) -> Placeholder:
    found = Placeholder(name, ())
    found.state = {"_parameters": {}, "_buffers": {}, "_modules": {}, "training": False, **attributes}
    return found


def test_the_order_is_that_of_a_state_dict() -> None:
    inner = module(_parameters={"weight": B, "bias": None}, _buffers={"mean": C})
    net = module(_modules={"0": inner, "none": None, "1": module(_parameters={"x": A})}, _parameters={"scale": A})
    assert is_module(net)
    assert list(module_tensors(net, Budget(1000)).items()) == [
        ("scale", A),
        ("0.weight", B),
        ("0.mean", C),
        ("1.x", A),
    ]


def test_buffers_that_are_not_saved_are_left_out() -> None:
    net = module(_buffers={"a": A, "b": Unread("x")}, _non_persistent_buffers_set=["a"])
    assert module_tensors(net, Budget(1000)) == {"b": Unread("x")}


def test_modules_of_torchscript_have_plain_attributes() -> None:
    net, inner = Placeholder("__torch__.Net", ()), Placeholder("__torch__.Layer", ())
    inner.state = {"weight": A, "training": False}
    net.state = {"conv": inner, "scale": B, "other": 3}
    assert module_tensors(net, Budget(1000)) == {"scale": B, "conv.weight": A}


def test_what_is_no_module() -> None:
    assert not is_module(Placeholder("net.Net", ()))
    assert not is_module(module(_modules=[]))
    assert not is_module({"_parameters": {}, "_modules": {}})


def test_attributes_in_a_pair_or_handed_to_a_function() -> None:
    attributes = {"_parameters": {"x": A}, "_modules": {}}
    pair, graph = Placeholder("net.Net", ()), Placeholder("torch.fx.reduce_graph_module", (attributes, "code"))
    pair.state = (attributes, {"slot": 1})
    assert module_tensors(pair, Budget(1000)) == module_tensors(graph, Budget(1000)) == {"x": A}


def test_modules_that_contain_one_another() -> None:
    net = module(_parameters={"x": A})
    for _ in range(60):
        net = module(_modules={"a": net, "b": net})
    with pytest.raises(JaxnextError, match="its modules contain one another over and over"):
        module_tensors(net, Budget(10_000))
    itself = module()
    assert isinstance(itself.state, dict)
    itself.state["_modules"] = {"a": itself}
    with pytest.raises(JaxnextError, match=r"over and over|more than 1,000 characters"):
        module_tensors(itself, Budget(10_000))
    with pytest.raises(JaxnextError, match="has a name of more than 1,000 characters"):
        module_tensors(module(_modules={"a" * 999: module(_parameters={"xy": A})}), Budget(10_000))
