"""Where the configs are that come with the package."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def configs_folder() -> Path:
    """Return the folder in which a config is found by its name: installed, the package's own; else the checkout's."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"
