"""The grammar of the command lines: jsonargparse made strict, settings as dotted options, mistakes as one sentence."""

import argparse
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import docstring_parser
from jsonargparse import ArgumentParser, Namespace, set_loader

from jaxnext.cli.paths import path
from jaxnext.config.choice import Alternatives, Choice
from jaxnext.config.mapping import Setting, build, plain, settings
from jaxnext.config.older_formats import RENAMED
from jaxnext.config.sections import Config
from jaxnext.config.values import check, nearest
from jaxnext.config.yaml_text import config_names, find_config, load_yaml
from jaxnext.errors import UsageError

_Arguments = TypeVar("_Arguments")


class Parser(ArgumentParser):
    """jsonargparse with abbreviations off and every mistake raised as a ``UsageError`` of one sentence."""

    def __init__(self, program: str, usage: str, description: str) -> None:
        """Make a parser without options.

        Args:
            program: how the user calls the command, such as ``jaxnext train``.
            usage: what follows it.
            description: what the command does.
        """
        # Values on the command line follow the same YAML as config files.
        set_loader("jaxnext", load_yaml, (ValueError,))
        super().__init__(
            prog=program,
            usage=f"{program} {usage}",
            description=description,
            allow_abbrev=False,
            exit_on_error=False,
            parser_mode="jaxnext",
            print_config=None,
        )
        self._types: dict[str, Any] = {}
        self._argv: list[str] = []
        self._choices: dict[str, str] = {}
        self._chosen: dict[str, Choice] = {}

    def option(self, key: str, hint: Any, text: str, default: Any = None, group: Any = None) -> None:
        """Add ``--key`` with a value of the type ``hint``."""
        self._types[key] = hint
        shown = list(default) if isinstance(default, tuple) else default
        (group or self).add_argument(f"--{key}", type=hint, default=shown, help=text)

    def compilation_cache(self) -> None:
        """Add what every command has that compiles for long."""
        text = (
            "true: compiled programs are kept for the next start, in ~/.cache/jaxnext/compiled (or XDG_CACHE_HOME); "
            "null: the same, except for float32 on an x86 CPU: the faster convolutions used there, but not for "
            "training on batches of at most 50,000 pixels, cannot be kept"
        )
        self.option("compilation_cache", bool | None, text)
        self.option(
            "onednn", bool, "false: convolutions in float32 on an x86 CPU do without oneDNN, and are slower", True
        )

    def settings(self, config: Config, only: tuple[str, ...] = ("",)) -> None:
        """Add the settings whose dotted key begins with one of ``only``, with the values of ``config`` as defaults.

        The options of what a setting chooses are those of the file that is chosen: by the config, or on the command
        line, which ``with_choices`` reads first.
        """
        own: Any = None
        group: Any = None
        for setting in settings(config):
            if not setting.key.startswith(only):
                continue
            if setting.section is not own:
                own, group = setting.section, self.add_argument_group(_title(setting))
            text = setting.text if setting.text is not None else descriptions(type(own))[setting.key.rpartition(".")[2]]
            if isinstance(setting.hint, Alternatives):
                self._choice(setting, text, group)
            else:
                self.option(setting.key, setting.hint, text, setting.value, group)

    def _choice(self, setting: Setting, text: str, group: Any) -> None:
        # jsonargparse cannot have both a value and options below one key.
        names = ", ".join(setting.hint.names())
        if setting.hint.many:
            key, text = f"{setting.key}.list", f"{text}: names, or mappings with type and options ({names})"
            # with_choices checks it.
            group.add_argument(f"--{key}", type=list[Any] | str, default=[c.type for c in setting.value], help=text)
        else:
            key = f"{setting.key}.type"
            self.option(key, str, f"{text}: {names}", setting.value.type, group)
            self._chosen[setting.key] = setting.value
        self._choices[f"--{setting.key}"] = f"--{key}"

    def one_of(self, alternatives: Alternatives, text: str, default: str, argv: Sequence[str]) -> None:
        """Add a choice that is no setting: ``--KEY NAME``, and the options of what a command line chooses.

        Args:
            alternatives: to choose from.
            text: what is chosen.
            default: name of what is chosen where the command line chooses nothing.
            argv: the command line.

        Raises:
            UsageError: there is no such alternative.
        """
        key, name = alternatives.key, default
        for option, value in _given_values(argv, key):
            if option in (key, f"{key}.type"):
                if not value:
                    raise UsageError(f"--{option}: expected a value, found an empty one")
                name = value
        try:
            choice = alternatives.choose(name)
        except ValueError as error:
            raise UsageError(f"--{error}") from error
        self._choice(Setting(key, alternatives, choice, text, None), text, self)
        for option, (hint, value, about) in alternatives.options(name).items():
            self.option(f"{key}.{option}", hint, about, value)

    def chosen(self, key: str, values: Namespace) -> Choice:
        """Return what ``one_of`` offered, as the command line has chosen it.

        Raises:
            UsageError: an option whose value the file refuses.
        """
        choice = self._chosen[key]
        options = {name: values[f"{key}.{name}"] for name in choice.options}
        chosen = choice.alternatives.choose(choice.type, **options)
        chosen.build()
        return chosen

    def parse(self, argv: Sequence[str]) -> Namespace:
        """Return the values of all options, under their dotted keys.

        Raises:
            UsageError: An unknown option, or a value that is empty or of another type than the option's.
        """
        self._argv = []
        for word in argv:
            option, equals, value = word.partition("=")
            self._argv.append(f"{self._choices.get(option, option)}{equals}{value}")
        values = self.parse_args(self._argv)
        # jsonargparse also takes yes for true and 1_000 for 1000, which a config file does not.
        for key in self._types:
            if mistake := self._mistake(key):
                raise UsageError(mistake)
        return values

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the sentence for an error of argparse or jsonargparse."""
        raise UsageError(self._sentence(message)) from ex

    def _sentence(self, message: str) -> str:
        if match := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
            options = [word.partition("=")[0] for word in match[1].split() if re.match(r"--?[^\W\d]", word)]
            return self._unknown(options[0]) if options else f"unexpected argument {match[1]!r}"
        if match := re.match(r"argument (--\S+): expected (?:at least )?one argument", message):
            return f"{match[1]}: expected a value after it (one that begins with a dash is written {match[1]}=VALUE)"
        if match := re.match(r'Parser key "([^"]+)":', message):
            return self._mistake(match[1]) or " ".join(message.split())
        return " ".join(message.split())

    def _mistake(self, key: str) -> str | None:
        """Return the sentence for the first value given to ``key`` that is not of its type."""
        hint = self._types[key]
        for option, text in _given_values(self._argv, key):
            try:
                if not text:
                    return f"--{option}: expected a value, found an empty one"
                if option == key:
                    _check_text(text, hint, f"--{key.removesuffix('.list')}")
                else:
                    return self._unknown(f"--{option}")
            except ValueError as error:
                return str(error)
        return None

    def _unknown(self, option: str) -> str:
        for old, new in RENAMED.items():
            if f"{option.lstrip('-')}.".startswith(f"{old}."):
                return f"unknown option {option}; did you mean --{new}{option.lstrip('-').removeprefix(old)}?"
        if chosen := self._chosen.get(option.lstrip("-").rpartition(".")[0]):
            return f"unknown option {option}: {chosen.alternatives.has(chosen.type)}"
        known = [name.removeprefix("--") for a in self._actions for name in a.option_strings if name.startswith("--")]
        return f"unknown option {option}; did you mean --{nearest(option.lstrip('-'), known)}?"


def choose_config(argv: Sequence[str], configs_dir: Path) -> tuple[str, Config] | None:
    """Name and content of the ``--config`` on the command line, None where there is none.

    Raises:
        UsageError: Two of them, or one that ``find_config`` refuses.
    """
    scanner = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scanner.add_argument("--config", action="append", default=[])
    try:
        names = scanner.parse_known_args(argv)[0].config
    except argparse.ArgumentError as error:
        raise UsageError(f"--config is without a value: give one of {config_names(configs_dir)}") from error
    if not names:
        return None
    if len(names) > 1:
        raise UsageError(f"--config is given twice, {names[0]} and {names[1]}: give one")
    if not names[0]:
        raise UsageError(f"--config: expected one of {config_names(configs_dir)}, or a path, found an empty value")
    return find_config(names[0], configs_dir)


def no_config(configs_dir: Path) -> NoReturn:
    """Raise the error of a command line without ``--config``."""
    raise UsageError(f"--config is missing: give one of {config_names(configs_dir)}, or the path of a .yaml file")


def with_choices(argv: Sequence[str], config: Config) -> Config:
    """Return a config with what is chosen on the command line: ``--KEY NAME``, ``--KEY.type NAME``, a list for several.

    What is chosen anew has its defaults; what the config has chosen already keeps its options.

    Raises:
        UsageError: there is no such file to choose, or an option that its file does not have.
    """
    values = plain(config)
    for setting in settings(config):
        alternatives = setting.hint
        if not isinstance(alternatives, Alternatives):
            continue
        for option, text in _given_values(argv, setting.key):
            if option not in (setting.key, f"{setting.key}.type", f"{setting.key}.list"):
                continue
            if not text:
                raise UsageError(f"--{option}: expected a value, found an empty one")
            section, _, name = setting.key.rpartition(".")
            place = values[section] if section else values
            try:
                value = load_yaml(text) if alternatives.many else text
            except ValueError as error:
                raise UsageError(f"--{setting.key}: {error}") from error
            if alternatives.many:
                before = {choice.type: choice.plain() for choice in setting.value}
                items = value if isinstance(value, list) else [value]
                place[name] = [before.get(item, item) if isinstance(item, str) else item for item in items]
            elif value != setting.value.type:
                place[name] = {"type": value}
    try:
        return build(values)
    except ValueError as error:
        raise UsageError(str(error)) from error


def config_of(values: Namespace, base: Config) -> Config:
    """Return the ``Config`` of parsed settings; those that the command line does not offer come from ``base``.

    Args:
        values: what the parser gave.
        base: the config whose settings the parser was given.

    Raises:
        UsageError: A value that the dataclasses refuse.
    """
    nested = plain(base)
    for setting in settings(base):
        if setting.key not in values or isinstance(setting.hint, Alternatives):
            continue
        *sections, name = setting.key.split(".")
        place: Any = nested
        for section in sections:
            found = place[section]
            # Options of one of several are kept under its name, in a list.
            place = found if not isinstance(found, list) else {item["type"]: item for item in found}
        place[name] = values[setting.key]
    try:
        return build(nested)
    except ValueError as error:
        raise UsageError(str(error)) from error


def given(values: Namespace, key: str, advice: str, name: str = "") -> Any:
    """Return the value of an option that has to be given.

    Args:
        values: what the parser gave.
        key: of the option.
        advice: what to give.
        name: as the user knows it; ``--KEY`` unless said.

    Raises:
        UsageError: it was not given.
    """
    if values[key] is None:
        raise UsageError(f"{name or f'--{key}'} is missing: {advice}")
    return values[key]


def given_path(values: Namespace, key: str, advice: str, name: str = "") -> Path:
    """Return the path of an option that has to be given; arguments as ``given``, errors also those of ``path``."""
    return path(name or f"--{key}", given(values, key, advice, name))


def arguments_of(kind: type[_Arguments], values: Namespace, **own: Any) -> _Arguments:
    """Return a command's dataclass: fields that are not among ``own`` have the values of the options of their names."""
    arguments: Any = kind
    names = [field.name for field in dataclasses.fields(arguments) if field.name not in own]
    return kind(**{name: values[name] for name in names}, **own)


def check_least(values: Namespace, **least: int) -> None:
    """Refuse numbers below the least value of their option.

    Raises:
        UsageError: The first such number.
    """
    for key, value in least.items():
        if values[key] is not None and values[key] < value:
            raise UsageError(f"--{key}: expected at least {value}, found {values[key]}")


def _given_values(argv: Sequence[str], key: str) -> Iterable[tuple[str, str]]:
    """Return the options ``key`` and ``key.something`` on a command line, with their values."""
    for word, following in itertools.pairwise([*argv, ""]):
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and (name == key or name.startswith(f"{key}.")):
            yield name, value if equals else following


def given_value(argv: Sequence[str], key: str) -> str | None:
    """Return the last value of ``--key`` on a command line, for options that depend on it; ``None`` without one."""
    found = [value for option, value in _given_values(argv, key) if option == key]
    return found[-1] if found else None


def _check_text(text: str, hint: Any, key: str) -> None:
    kinds = (hint,) if get_origin(hint) is tuple else (hint, *get_args(hint))
    lists = any(get_origin(kind) is tuple for kind in kinds)
    # Text stands as it is, unless it is the list that may stand in its place.
    if str in kinds and not (lists and text.startswith("[")):
        return
    try:
        value = load_yaml(text)
    except ValueError:
        value = text
    check(value, hint, key)


@functools.cache
def descriptions(section: type) -> dict[str, str]:
    """Return the attribute docstrings of a dataclass, on one line each."""
    parameters = docstring_parser.parse_from_object(section).params
    return {p.arg_name: " ".join((p.description or "").split()) for p in parameters}


def _title(setting: Setting) -> str:
    section = setting.section
    if isinstance(section, Choice):
        return f"{section.alternatives.key}: {section.type}"
    return (type(section).__doc__ or "").rstrip(".")
