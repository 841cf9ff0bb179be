"""Settings given in Python, put over those of a config."""

from collections.abc import Mapping, Set
from typing import Any

from jaxnext.config.choice import Alternatives
from jaxnext.config.mapping import build, plain, settings
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a config with other settings.

    Args:
        config: that the settings are put over.
        changes: by key; a section is a mapping of some of its settings, or each has a dotted key. A setting whose value
            is itself a mapping is replaced.

    Raises:
        UsageError: an unknown key, or a value that a config file could not have either.
    """
    values = plain(config)
    whole = {setting.key for setting in settings(config) if not isinstance(setting.hint, Alternatives)}
    for key, value in changes.items():
        *sections, name = key.split(".")
        place: Any = values
        for section in sections:
            inner = place.get(section)
            if isinstance(inner, list):  # of choices: each is found by its type
                inner = {item["type"]: item for item in inner}
            if not isinstance(inner, dict):
                inner = place[section] = {}
            place = inner
        place[name] = _merged(place.get(name), value, key, whole)
    try:
        return build(values)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _merged(old: Any, new: Any, key: str, whole: Set[str]) -> Any:
    """Lay a section over another; a choice of another type has options of its own, so that it replaces it.

    Args:
        old: value.
        new: value.
        key: dotted, of both.
        whole: keys of what is no section.
    """
    if isinstance(old, dict) and new == old.get("type"):
        return old
    if not (isinstance(old, dict) and isinstance(new, Mapping)) or key in whole:
        return new
    if new.get("type", old.get("type")) != old.get("type"):
        return new
    return old | {name: _merged(old.get(name), value, f"{key}.{name}", whole) for name, value in new.items()}
