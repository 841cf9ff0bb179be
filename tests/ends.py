"""Stands for the end of a process, in tests of processes that end themselves."""


class Left(BaseException):
    """Raised in its place."""
