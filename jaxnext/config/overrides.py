"""Settings given in Python, put over those of a config."""

from collections.abc import Mapping
from typing import Any

from jaxnext.config.mapping import build, plain
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError


def override(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return a config with other settings.

    Args:
        config: that the settings are put over.
        settings: by key; a section is a mapping of some of its settings, or each has a dotted key.

    Raises:
        UsageError: an unknown key, or a value that a config file could not have either.
    """
    values = plain(config)
    for key, value in settings.items():
        *sections, name = key.split(".")
        place: Any = values
        for section in sections:
            inner = place.get(section)
            if isinstance(inner, list):  # of choices: each is found by its type
                inner = {item["type"]: item for item in inner}
            if not isinstance(inner, dict):
                inner = place[section] = {}
            place = inner
        place[name] = _merged(place.get(name), value)
    try:
        return build(values)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _merged(old: Any, new: Any) -> Any:
    """Lay a section over another; a choice of another type has options of its own, so that it replaces it."""
    if isinstance(old, dict) and new == old.get("type"):
        return old
    if not (isinstance(old, dict) and isinstance(new, Mapping)) or new.get("type", old.get("type")) != old.get("type"):
        return new
    return old | {name: _merged(old.get(name), value) for name, value in new.items()}
