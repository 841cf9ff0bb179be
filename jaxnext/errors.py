"""The project's two exceptions: what a user did wrong, said in one sentence; and other people's, in one line."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class JaxnextError(Exception):
    """Bad input or a failed run. The message is one clear sentence for the user; the exit status is 1."""

    exit_status = 1


class UsageError(JaxnextError):
    """A mistake on the command line or in a config. The message is one clear sentence; the exit status is 2."""

    exit_status = 2


def printable(text: str) -> str:
    r"""Return a text that any stream in UTF-8 takes: a byte of a file name that is not UTF-8 becomes ``\udce9``."""
    return text.encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    r"""Return ``printable(text)`` in one line that no terminal obeys: control characters become ``\n``, ``\x1b``."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], printable(text))


def harmless(text: str) -> str:
    r"""Return a text of several lines that no terminal obeys: control characters but ends of lines and tabs as escapes.

    Bytes of file names that are not UTF-8 stay: they are printed as they are.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in "\n\t" else ascii(found[0])[1:-1], text)


def one_line(error: Exception) -> str:
    """Return the message of any exception in one line; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
