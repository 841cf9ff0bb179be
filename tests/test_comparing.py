from pathlib import Path

from jaxnext.cli.comparing import run_names


def test_runs_have_their_folders_names_or_paths() -> None:
    assert run_names([Path("x/a"), Path("y/b")]) == ["a", "b"]
    assert run_names([Path("x/a"), Path("y/a"), Path("b")]) == ["x/a", "y/a", "b"]
