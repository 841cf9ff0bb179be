"""Settings given in Python, put over those of a config."""

from collections.abc import Mapping
from typing import Any

from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import build, dump_config, load_yaml
from jaxnext.errors import UsageError


def override(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return a config with other settings.

    Args:
        config: that the settings are put over.
        settings: by key; a section is a mapping of some of its settings, or each has a dotted key.

    Raises:
        UsageError: an unknown key, or a value that a config file could not have either.
    """
    values = load_yaml(dump_config(config))
    for key, value in settings.items():
        *sections, name = key.split(".")
        place = values
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[name] = _merged(place.get(name), value)
    try:
        return build(values)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _merged(old: Any, new: Any) -> Any:
    """A section over another; one of another type has other settings, so that it replaces it."""
    if not (isinstance(old, dict) and isinstance(new, Mapping)) or new.get("type", old.get("type")) != old.get("type"):
        return new
    return old | {name: _merged(old.get(name), value) for name, value in new.items()}
