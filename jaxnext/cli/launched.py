"""One of the processes that ``jaxnext launch`` has started."""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli import train
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.main import main
from jaxnext.cli.parser import given_value

_CODE = "import sys; sys.path.append({!r}); from jaxnext.cli.launched import launched; sys.exit(launched())"


def command(argv: Sequence[str], invocation: Invocation) -> list[str]:
    """Return the command that trains with these options in a process of its own.

    Args:
        argv: of ``train``.
        invocation: what its lines say of how the user called.
    """
    # The checkout need not be installed. -P: a file yaml.py in the user's folder is not ours.
    code = _CODE.format(str(Path(__file__).resolve().parents[2]))
    about = json.dumps([list(argv), invocation.file, invocation.is_script, list(invocation.launch)])
    return [sys.executable, "-P", "-c", code, about]


def launched() -> int:
    """Do what ``command`` says; return the exit status."""
    argv, file, is_script, launch = json.loads(sys.argv[1])
    # The first of all tells the others.
    if given_value(argv, "process_id") == "0":
        threading.Thread(target=_end_with_launcher, args=(sys.stdin.fileno(),), daemon=True).start()
    return main(train.run, argv, Invocation(file, is_script, tuple(launch)))


def _end_with_launcher(stream: int) -> None:
    """Save and end where nobody is left who could ask for it: the launcher writes nothing and closes when it ends."""
    while os.read(stream, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
