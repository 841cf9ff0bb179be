"""Spoil one convention at a time in a copy of the source and see which tests fail.

    python tests/perturb.py [NAME ...]

Not collected by pytest. The tests have to pass in an unspoiled copy first, so that what fails later has noticed. Prints
one line for each perturbation; exits with 1 where all tests passed or an unspoiled copy fails, with 2 for an unknown
NAME.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Perturbation(NamedTuple):
    """A change of one file, and the test files that should notice."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


NETWORK = ("test_golden", "test_resnext")
PERTURBATIONS = {
    "stem padded as SAME pads": Perturbation(
        "jaxnext/models/layers.py",
        "padding = ((pad, pad), (pad, pad))",
        "padding = ((pad - (self.size == 7 and self.stride == 2), pad),) * 2",
        (*NETWORK, "test_layers"),
    ),
    "max-pool padded as SAME pads": Perturbation(
        "jaxnext/ops/pooling.py",
        "widths[axis] = (1, 2 * count - size)",
        "widths[axis] = (0, 1 + 2 * count - size)",
        (*NETWORK, "test_pooling"),
    ),
    "biased variance stored": Perturbation(
        "jaxnext/models/norm.py",
        "unbiased = batch_var * count / jnp.maximum(count - 1, 1)",
        "unbiased = batch_var",
        ("test_golden", "test_norm"),
    ),
    "patience counted as Optax does": Perturbation(
        "jaxnext/engine/schedules/plateau.py",
        "if bad_epochs > self.patience:",
        "if bad_epochs >= max(self.patience, 1):",
        ("test_golden", "test_plateau"),
    ),
    "classes sorted as numbers": Perturbation(
        "jaxnext/data/listing.py",
        "return sorted(folders), sorted(files), hidden, links",
        "return sorted(folders, key=lambda name: (len(name), name)), sorted(files), hidden, links",
        ("test_folder_source", "test_folder", "test_weights_port", "test_listing"),
    ),
    "resize without antialiasing": Perturbation(
        "jaxnext/data/resize.py",
        "Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)",
        "Image.fromarray(image).transform((width, height), Image.Transform.AFFINE, "
        "(image.shape[1] / width, 0, 0, 0, image.shape[0] / height, 0), Image.Resampling.BILINEAR)",
        ("test_golden", "test_resize", "test_exact"),
    ),
}


def failures(tests: Iterable[str], perturbation: Perturbation | None = None) -> list[str]:
    """Those of the test files' tests that fail, without their parameters, in a copy of the project with the change."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in ("jaxnext", "tests", "configs", "scripts"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if perturbation is not None:
            file = copy / perturbation.file
            file.write_text(spoiled(file.read_text(), perturbation))
        # Of the four settings the one with all modules.
        chosen = ["-m", "not full_size", "-k", "fc_cbam or not (baseline or fc or cbam)"]
        options = ["-q", "-rfE", "-p", "no:cacheprovider", "--timeout", "0"]  # a slow machine notices nothing
        files = [f"tests/{name}.py" for name in tests]
        command = [sys.executable, "-m", "pytest", *options, *chosen, *files]
        done = subprocess.run(
            command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1):
            raise SystemExit(done.stdout + done.stderr)
        found = re.findall(r"^(?:FAILED|ERROR) tests/(\w+\.py::\w+)", done.stdout, re.MULTILINE)
        return list(dict.fromkeys(found))


def spoiled(text: str, perturbation: Perturbation) -> str:
    """The file's text with the change."""
    if text.count(perturbation.old) != 1:
        raise SystemExit(f"{perturbation.file}: does not hold once what is to be changed: {perturbation.old}")
    return text.replace(perturbation.old, perturbation.new)


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in PERTURBATIONS]
    if unknown:
        print(
            f"error: unknown perturbation {unknown[0]!r}: expected one of {', '.join(PERTURBATIONS)}", file=sys.stderr
        )
        return 2
    chosen = {name: PERTURBATIONS[name] for name in names or PERTURBATIONS}
    tests = dict.fromkeys(test for perturbation in chosen.values() for test in perturbation.tests)
    if failing := failures(tests):
        print(
            f"error: expected all tests to pass in an unspoiled copy, found failing: {', '.join(failing)}",
            file=sys.stderr,
        )
        return 1
    unnoticed = 0
    for name, perturbation in chosen.items():
        noticed = failures(perturbation.tests, perturbation)
        unnoticed += not noticed
        print(f"{name}: {', '.join(noticed) or 'no test failed'}", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
