"""A ``Config`` from nested mappings, as YAML or keywords have them, and back."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jaxnext.config.choice import Alternatives, Choice
from jaxnext.config.sections import Config, alternatives_of
from jaxnext.config.values import check, found, nearest


class Setting(NamedTuple):
    """One setting, as the command line offers it."""

    key: str
    """dotted"""
    hint: Any
    """type of its value; an ``Alternatives`` where it chooses a file"""
    value: Any
    text: str | None
    """what it means; ``None``: the attribute docstring of its section says so"""
    section: Any
    """the dataclass or the ``Choice`` that it belongs to"""


def build(values: Mapping[str, Any], section: Any = Config, prefix: str = "") -> Any:
    """Make the dataclass ``section`` (``Config``) of nested mappings; settings that are not named keep their defaults.

    A choice is written as its name, or as a mapping with ``type`` and options; without ``type`` it is the default's.

    Raises:
        ValueError: an unknown key, a value of another type, or one that the dataclass refuses, in one sentence.
    """
    hints = typing.get_type_hints(section)
    defaults = {field.name: field for field in dataclasses.fields(section)}
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in hints:
            known = [setting.key for setting in settings(Config())]
            if key in known:
                raise ValueError(f"{key} is written as one key, expected {key.replace('.', ': {')}: ... }}")
            raise ValueError(f"unknown key {key}; did you mean {nearest(key, known)}?")
        alternatives = alternatives_of(key)
        if alternatives is not None:
            default = None if alternatives.many else defaults[name].default_factory()  # pyright: ignore[reportCallIssue]
            arguments[name] = _chosen(value, alternatives, default)
        elif not dataclasses.is_dataclass(hints[name]):
            arguments[name] = check(value, hints[name], key)
        elif isinstance(value, Mapping):
            arguments[name] = build(value, hints[name], f"{key}.")
        else:
            raise ValueError(f"{key}: expected the settings of this section, found {found(value)}")
    return section(**arguments)


def _chosen(value: Any, alternatives: Alternatives, default: Any) -> Choice | tuple[Choice, ...]:
    if not alternatives.many:
        return _one(value, alternatives, default.type)
    if isinstance(value, list | tuple):
        return tuple(_one(item, alternatives, None) for item in value)
    return (_one(value, alternatives, None),)


def _one(value: Any, alternatives: Alternatives, default: str | None) -> Choice:
    if isinstance(value, Choice):
        return value
    if isinstance(value, str):
        return alternatives.choose(value)
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(
            f"{alternatives.key}: expected one of {', '.join(alternatives.names())}, or a mapping with type and "
            f"options, found {found(value)}"
        )
    options = dict(value)
    name = options.pop("type", default)
    if not isinstance(name, str):
        raise ValueError(
            f"{alternatives.key}.type: expected one of {', '.join(alternatives.names())}, found {found(name)}"
        )
    return alternatives.choose(name, **options)


def plain(config: Config) -> dict[str, Any]:
    """Return the nested mapping of every setting, of which ``build`` makes an equal config: lists, no tuples."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def flat(config: Config) -> dict[str, Any]:
    """Return the value of every setting under its dotted key."""
    return {
        setting.key: _types(setting.value) if isinstance(setting.hint, Alternatives) else setting.value
        for setting in settings(config)
    }


def _types(chosen: Choice | tuple[Choice, ...]) -> str | tuple[str, ...]:
    return tuple(choice.type for choice in chosen) if isinstance(chosen, tuple) else chosen.type


def settings(config: Config) -> Iterator[Setting]:
    """Yield every setting of a config, section after section; the options are those of what it chooses."""
    yield from _settings(config, "")


def _settings(section: Any, prefix: str) -> Iterator[Setting]:
    hints = typing.get_type_hints(type(section))
    inner = []
    for field in dataclasses.fields(section):
        key, value = f"{prefix}{field.name}", getattr(section, field.name)
        alternatives = alternatives_of(key)
        if alternatives is not None:
            yield Setting(key, alternatives, value, None, section)
            for choice in value if isinstance(value, tuple) else (value,):
                inner.append((choice, f"{key}.{choice.type}." if alternatives.many else f"{key}."))
        elif dataclasses.is_dataclass(value):
            inner.append((value, f"{key}."))
        else:
            yield Setting(key, hints[field.name], value, None, section)
    for each, before in inner:
        if isinstance(each, Choice):
            for name, option in each.alternatives.options(each.type).items():
                yield Setting(f"{before}{name}", option.hint, each[name], option.text, each)
        else:
            yield from _settings(each, before)


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return {name: _plain(item) for name, item in value.plain().items()}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
