import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jaxnext.cli.versions import versions


def test_versions(tmp_path: Path) -> None:
    found = versions(tmp_path)
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert (found["jaxnext"], found["commit"]) == ("0.1.0", None)
    assert set(found) > {"jax", "flax", "optax", "orbax-checkpoint", "grain"}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "file").write_text("one")
    git("init")
    git("add", "file")
    git("commit", "-m", "first", "--no-gpg-sign")
    head = git("rev-parse", "HEAD")
    assert versions(tmp_path)["commit"] == head
    assert versions(tmp_path / "inside")["commit"] is None
    (tmp_path / "file").write_text("two")
    assert versions(tmp_path)["commit"] == f"{head}-dirty"
