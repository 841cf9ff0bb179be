"""The grammar of the command lines: jsonargparse made strict, settings as dotted options, mistakes as one sentence."""

import argparse
import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser, Namespace, set_loader

from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import build, check, config_names, find_config, key_types, load_yaml, nearest
from jaxnext.errors import UsageError

NO_CHECKPOINT = "--checkpoint is missing: give the folder of a run or of a ported checkpoint"


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

    def option(self, key: str, hint: Any, text: str, default: Any = None, group: Any = None) -> None:
        """Adds ``--key`` with a value of the type ``hint``."""
        self._types[key] = hint
        # jsonargparse turns a value of the wrong type inside a typed dict into text; config_of checks those instead.
        known = dict[str, Any] if get_origin(hint) is dict else hint
        shown = list(default) if isinstance(default, tuple) else default
        (group or self).add_argument(f"--{key}", type=known, default=shown, help=text)

    def checkpoint(self) -> None:
        """Adds what every command has that reads a checkpoint."""
        self.option("checkpoint", str | None, "folder of a run or of a ported checkpoint")
        self.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
        self.option("batch_size", int, "images computed at a time", 16)
        self.option("workers", get_type_hints(Config)["workers"], _descriptions(Config)["workers"])

    def compilation_cache(self) -> None:
        """Adds what every command has that compiles for long."""
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
        """Adds the settings whose dotted key begins with one of ``only``, with the values of ``config`` as defaults."""
        hints = key_types()
        sections = {"": config} | {f"{f.name}.": getattr(config, f.name) for f in dataclasses.fields(config)}
        for prefix, section in sections.items():
            names = [key for key in hints if key.rpartition(".")[0] == prefix.rstrip(".") and key.startswith(only)]
            if not names or not dataclasses.is_dataclass(section):
                continue
            group = self.add_argument_group((type(section).__doc__ or "").rstrip("."))
            texts = _descriptions(type(section))
            for key in names:
                name = key.removeprefix(prefix)
                value = getattr(section, name)
                self.option(key, hints[key], texts[name], dict(value) if isinstance(value, dict) else value, group)

    def parse(self, argv: Sequence[str]) -> Namespace:
        """The values of all options, under their dotted keys.

        Raises:
            UsageError: An unknown option, or a value that is empty or of another type than the option's.
        """
        self._argv = list(argv)
        values = self.parse_args(self._argv)
        # jsonargparse also takes yes for true and 1_000 for 1000, which a config file does not.
        for key in self._types:
            if mistake := self._mistake(key):
                raise UsageError(mistake)
        return values

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises the sentence for an error of argparse or jsonargparse."""
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
        """The sentence for the first value given to ``key`` that is not of its type."""
        hint = self._types[key]
        for option, text in _given_values(self._argv, key):
            try:
                if not text:
                    return f"--{option}: expected a value, found an empty one"
                if option == key:
                    _check_text(text, hint, f"--{key}")
                elif get_origin(hint) is not dict:
                    return self._unknown(f"--{option}")
            except ValueError as error:
                return str(error)
        return None

    def _unknown(self, option: str) -> str:
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
    """Raises the error of a command line without ``--config``."""
    raise UsageError(f"--config is missing: give one of {config_names(configs_dir)}, or the path of a .yaml file")


def config_of(values: Namespace, base: Config | None = None) -> Config:
    """The ``Config`` of parsed settings; those that the command line does not offer come from ``base``.

    Raises:
        UsageError: A value that the dataclasses refuse.
    """
    nested: dict[str, Any] = dataclasses.asdict(base) if base else {}
    for key in key_types():
        section, _, name = key.rpartition(".")
        if key in values:
            (nested.setdefault(section, {}) if section else nested)[name] = values[key]
    try:
        return build(nested)
    except ValueError as error:
        raise UsageError(str(error)) from error


def given(values: Namespace, key: str, sentence: str) -> Any:
    """Return the value of an option that has to be given.

    Raises:
        UsageError: It was not: ``sentence``.
    """
    if values[key] is None:
        raise UsageError(sentence)
    return values[key]


def check_least(values: Namespace, **least: int) -> None:
    """Refuse numbers below the least value of their option.

    Raises:
        UsageError: The first such number.
    """
    for key, value in least.items():
        if values[key] is not None and values[key] < value:
            raise UsageError(f"--{key}: expected at least {value}, found {values[key]}")


def _given_values(argv: Sequence[str], key: str) -> Iterable[tuple[str, str]]:
    """The options ``key`` and ``key.something`` on a command line, with their values."""
    for word, following in itertools.pairwise([*argv, ""]):
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and (name == key or name.startswith(f"{key}.")):
            yield name, value if equals else following


def _check_text(text: str, hint: Any, key: str) -> None:
    if hint is str or hint == str | None:
        return
    try:
        value = load_yaml(text)
    except ValueError:
        value = text
    check(value, hint, key)


def _descriptions(section: type) -> dict[str, str]:
    """The attribute docstrings of a dataclass, on one line each."""
    parameters = docstring_parser.parse_from_object(section).params
    return {p.arg_name: " ".join((p.description or "").split()) for p in parameters}
