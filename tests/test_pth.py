from pathlib import Path
from types import SimpleNamespace

import numpy as np

from jaxnext.inference.exporters.pth import Exporter
from jaxnext.tree import unflatten

META = SimpleNamespace(trained=("backbone", "head"))
VARIABLES = unflatten({("params", "backbone", "stem_conv", "kernel"): np.zeros((7, 7, 3, 4))})


def test_it_says_how_the_order_of_the_classes_is_to_be_had() -> None:
    net = SimpleNamespace(checkpoint="w", variables=VARIABLES, classes=("a", "b"), meta=META)
    told = "net.pth: backbone, head; 1 tensors, 588 parameters; read again, equal to the bit (PyTorch was not run)"
    hint = "a .pth file has no place for class names; write their order beside it with --classes net.txt"
    assert Exporter().lines(net, Path("net.pth"), None) == [hint, told]
    assert Exporter().lines(net, Path("net.pth"), Path("names.txt")) == [told]
    net.classes = ()
    assert Exporter().lines(net, Path("net.pth"), None) == [told]
