"""How the user called: by the installed command ``jaxnext``, or by a script of the checkout."""

import dataclasses
import shlex
import shutil
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_SCRIPTS = {
    "check": "check_data",
    "port": "port_weights",
    "inspect": "inspect_weights",
    "prepare": "prepare_data",
    "export": "export_weights",
}
"""Scripts that are not called as their command is."""


CONNECTION = ("--coordinator_address", "--num_processes", "--process_id")
"""Options of ``train`` by which several processes that are started by hand find each other."""


@dataclasses.dataclass(frozen=True)
class Invocation:
    """What stands before the options of a command."""

    file: str = "jaxnext"
    """the program, as ``sys.argv[0]`` has it"""
    is_script: bool = False
    """whether it is a script of the checkout, which Python runs"""
    launch: tuple[str, ...] = ()
    """options of ``launch``, where that has started this process with ``CONNECTION`` and a value each"""

    def usage(self, command: str) -> str:
        """Return how a command is called in this way, for a usage line or a hint."""
        return f"python scripts/{_SCRIPTS.get(command, command)}.py" if self.is_script else f"jaxnext {command}"

    def resume_command(self, argv: Sequence[str]) -> str:
        """Return the shell command that goes on with the run that was begun with the options ``argv``."""
        words = list(argv)
        if not any(word.partition("=")[0] == "--resume" for word in words):
            words += ["--resume", "auto"]
        if not self.launch:
            return self.again("train", words)
        own = [word for before, word in pairwise(["", *words]) if not {before, word} & set(CONNECTION)]
        return self.again("launch", [*self.launch, "--", "train", *own])

    def again(self, command: str, argv: Sequence[str]) -> str:
        """Return the shell command that runs a command with these options in the way that the user called."""
        # The name alone would start another one where the virtual environment is not activated.
        if self.is_script:
            return shlex.join([_name_if_found(sys.executable), self.file, *argv])
        return shlex.join([_name_if_found(self.file), command, *argv])


def _name_if_found(program: str) -> str:
    """Return the name of a program, where the shell finds this very file by it."""
    found = shutil.which(Path(program).name)
    return Path(program).name if found and Path(found) == Path(program) else program
