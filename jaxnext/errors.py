"""The project's two exceptions: what a user did wrong, said in one sentence; and other people's, in one line."""


class JaxnextError(Exception):
    """Bad input or a failed run. The message is one clear sentence for the user; the exit status is 1."""

    exit_status = 1


class UsageError(JaxnextError):
    """A mistake on the command line or in a config. The message is one clear sentence; the exit status is 2."""

    exit_status = 2


def printable(text: str) -> str:
    r"""Return a text that any stream in UTF-8 takes: a byte of a file name that is not UTF-8 becomes ``\udce9``."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(error: Exception) -> str:
    """Return the message of any exception in one line; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
