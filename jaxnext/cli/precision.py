"""The precision that JAX computes in, set for the process of a command."""

from collections.abc import Sequence
from pathlib import Path

from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import load_config


def set_precision(config: Config) -> None:
    """Switch JAX to 64 bits where a config needs them."""
    if config.precision == "float64":
        import jax

        jax.config.update("jax_enable_x64", True)


def set_precision_of(checkpoint: Path) -> str:
    """Do the same for the config of a checkpoint; return its precision."""
    file = checkpoint / "config.yaml"
    config = load_config(file) if file.is_file() else Config()  # that there is none is said where it is read
    set_precision(config)
    return config.precision


def set_precision_of_all(checkpoints: Sequence[Path]) -> str:
    """Do the same for several checkpoints; return float32 where one computes in it, else the first's precision.

    That is the one of which some programs cannot be kept.
    """
    found = [set_precision_of(checkpoint) for checkpoint in checkpoints]
    return "float32" if "float32" in found else found[0]
