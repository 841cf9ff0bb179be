"""The project's two exceptions: what a user did wrong, said in one sentence."""


class JaxnextError(Exception):
    """Bad input or a failed run. The message is one clear sentence for the user; the exit status is 1."""

    exit_status = 1


class UsageError(JaxnextError):
    """A mistake on the command line or in a config. The message is one clear sentence; the exit status is 2."""

    exit_status = 2
