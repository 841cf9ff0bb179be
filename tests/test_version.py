import re

import jaxnext
from jaxnext.version import __version__


def test_it_is_said_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert jaxnext.__version__ is __version__
