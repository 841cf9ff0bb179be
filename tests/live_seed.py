"""The seed of the comparisons with PyTorch that draw weights, images and parameters.

JAXNEXT_TEST_SEED gives it, 0 where it does not; "fresh" draws one. The report of every failure has it.
"""

import os
import secrets

_GIVEN = os.environ.get("JAXNEXT_TEST_SEED", "0")
SEED = secrets.randbits(32) if _GIVEN == "fresh" else int(_GIVEN)
# pytest-xdist's workers, which this process starts, have the same.
os.environ["JAXNEXT_TEST_SEED"] = str(SEED)
