"""The seed of the comparisons with PyTorch that draw weights, images and parameters, and which of several are made.

JAXNEXT_TEST_SEED gives it, 0 where it does not; "fresh" draws one. The report of every failure has it.
"""

import os
import secrets

import pytest

_GIVEN = os.environ.get("JAXNEXT_TEST_SEED", "0")
SEED = secrets.randbits(32) if _GIVEN == "fresh" else int(_GIVEN)
# pytest-xdist's workers, which this process starts, have the same.
os.environ["JAXNEXT_TEST_SEED"] = str(SEED)


def drawn(cases, further: int = 0):
    """Mark all cases of a test that takes long but one, which the seed draws, with ``full_size``.

    Args:
        cases: names.
        further: how many further on the drawn one is, so that two tests draw others.
    """
    names = list(cases)
    chosen = names[(SEED + further) % len(names)]
    return [name if name == chosen else pytest.param(name, marks=pytest.mark.full_size) for name in names]
