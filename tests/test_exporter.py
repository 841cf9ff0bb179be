import inspect

import pytest

from jaxnext.inference.exporter import FORMATS, Exporter

METHODS = [name for name in vars(Exporter) if not name.startswith("_")]


def test_the_formats() -> None:
    assert METHODS == ["check", "write", "run"]
    assert {"pth", "safetensors", "stablehlo", "timm"} <= set(FORMATS.names())


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_offers_what_is_asked_of_it(name: str) -> None:
    exporter = FORMATS.choose(name).build()
    for method in METHODS:
        wanted, found = (inspect.signature(getattr(kind, method)) for kind in (Exporter, type(exporter)))
        assert list(found.parameters) == list(wanted.parameters)
    assert all(option.text for option in FORMATS.options(name).values())
