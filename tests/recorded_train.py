"""``scripts/train.py`` that notes which examples it trains on, and may send itself a signal before a step.

    python recorded_train.py RECORD SIGNAL:STEP|- OPTIONS ...

RECORD gets a line a step: a JSON list of the step's number and the ids of its rows, -1 for padding. Pictures and
curves, which take as long as a run's steps, are drawn where RECORDED_TRAIN_DRAWS is set.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path

from jaxnext.cli.invocation import Invocation
from jaxnext.cli.main import main as call
from jaxnext.cli.train import run
from jaxnext.training.compiled_steps import CompiledSteps
from jaxnext.training.monitor import Monitor


def main() -> int:
    record, end, *options = sys.argv[1:]
    name, _, at = end.partition(":")
    train = CompiledSteps.train

    def recorded(self, state, host, step, stop=False):
        if at and int(at) == step:
            os.kill(os.getpid(), signal.Signals[name])
        with Path(record).open("a") as file:
            print(json.dumps([step, host.ids.tolist()]), file=file)
        return train(self, state, host, step, stop)

    CompiledSteps.train = recorded
    # As conftest.py.
    gc.set_threshold(50_000, 20, 100)
    if "RECORDED_TRAIN_DRAWS" not in os.environ:
        Monitor.first_batch = lambda self, host: 0.0
        Monitor.validation_batch = lambda self, host: None
        Monitor.curves = lambda self, history: None
    return call(run, options, Invocation("train.py", is_script=True))


if __name__ == "__main__":
    sys.exit(main())
