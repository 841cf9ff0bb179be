"""Kill a small run at random moments, go on with it, and compare its end with that of a run that nobody killed.

    python tests/kill.py --kills 200 --seed 0

The kills (SIGKILL) fall into every phase in turn: imports, compilation, training, validation, recalibration of batch
norms, the writing, reading back and deleting of checkpoints, the figures and the drawing, each after a random number
of its occurrences and a random wait. Runs alternate between a plain setting and one with mixed images, gathered
gradients and a moving average. Parameters, moments and figures without times must be the same bits. The most that a
kill has lost is printed. Other signals (``--signals USR1 USR2 TERM HUP``) must end a process with 130, saved, or not at
all. pytest does not collect this; ``test_kill.py`` runs a few kills.
"""

import argparse
import collections
import dataclasses
import gc
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

PLAIN = """
epochs: 3
batch_size: 96
data: {source: digits, image_size: 8}
augment: [{type: original, brightness: 0, contrast: 0, saturation: 0}]
model: {stage_sizes: [1], widths: [8], features: [16], stem_features: 4, groups: 2}
optimizer: {type: adam, learning_rate: 0.01}
checkpoint: {every_steps: 3}
"""
RECIPE = """
mix: {mixup: 0.4}
training: {accumulate: 4, recalibrate: true, ema: {decay: 0.9}}
"""
SETTINGS = {"plain": PLAIN, "recipe": PLAIN + RECIPE}
EVERY_STEPS = 3
KILLS_OF_A_RUN = 10
"""At most, so that enough of the runs come to their end."""

PHASES: dict[str, tuple[tuple[str, str], ...]] = {
    "compilation": (("jaxnext.training.compiled_steps.CompiledSteps", "compile"),),
    "training": (("jaxnext.training.compiled_steps.CompiledSteps", "train"),),
    "batch norms": (("jaxnext.training.compiled_steps.CompiledSteps", "recalibrate"),),
    "validation": (("jaxnext.training.compiled_steps.CompiledSteps", "evaluate"),),
    "writing": (("jaxnext.engine.checkpoint_folder.CheckpointFolder", "_write"),),
    "reading back": (("jaxnext.engine.checkpoint_folder.CheckpointFolder", "_damage"),),
    "deleting": (("jaxnext.engine.checkpoint_folder.CheckpointFolder", "_delete"),),
    "figures": (("jaxnext.engine.run_folder", "write_metrics"),),
    "drawing": (("jaxnext.reporting.curves", "draw_curves"), ("jaxnext.training.pictures", "write_picture")),
}
"""What marks the beginning of each phase."""
IMPORTS = "imports"
WAITS = {"compilation": 2.0, "drawing": 0.4}
"""Seconds after the beginning of a phase within which a signal comes; 0.06 in the others, which are shorter."""


@dataclasses.dataclass
class Lived:
    """One process of a run."""

    status: int
    """as ``os.waitpid`` gives it"""
    end: float
    """when it was seen to end"""
    batches: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    """position in the run and time of each batch that was begun"""
    seen: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """phases, and how often they began"""
    killed_in: str | None = None


class Kill(NamedTuple):
    """A signal some time after a phase has begun for the n-th time."""

    number: signal.Signals
    phase: str
    nth: int
    wait: float
    """seconds"""

    @property
    def statuses(self) -> tuple[int, ...]:
        """With which the process may end, as ``os.waitpid`` gives it; or with 0."""
        return (int(signal.SIGKILL),) if self.number == signal.SIGKILL else (130 << 8,)


def start(config: Path, output: Path, log: Path) -> tuple[int, int]:
    """Start a process of the run; return its id and a descriptor from which its marks are read.

    It is forked, so that imports are paid once. JAX has not started its backend here, and no thread runs.
    """
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    status = 70
    try:
        os.setpgid(0, 0)
        os.close(read)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        status = run_marked(config, output, write)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run_marked(config: Path, output: Path, pipe: int) -> int:
    """Train as the command does, writing a line at the beginning of each phase."""

    def mark(phase: str, arguments: tuple[Any, ...]) -> None:
        index = next((a.index for a in arguments if type(a).__name__ == "HostBatch"), -1)
        os.write(pipe, f"{phase}\t{index}\t{time.monotonic()}\n".encode())

    def marked(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            mark(phase, arguments)
            return function(*arguments, **named)

        return call

    mark(IMPORTS, ())
    for phase, places in PHASES.items():
        for place, name in places:
            owner = found(place)
            setattr(owner, name, marked(phase, getattr(owner, name)))
    # It traces the net four times, and writes nothing.
    found("jaxnext.training.fit").check_parts = lambda *arguments: None
    from jaxnext.cli.invocation import Invocation
    from jaxnext.cli.main import main
    from jaxnext.cli.train import run

    options = ["--config", str(config), "--output", str(output), "--resume", "auto", "--compilation_cache", "true"]
    return main(run, options, Invocation("train.py", is_script=True))


def found(place: str) -> Any:
    """Return a module, or a class in one."""
    import importlib

    try:
        return importlib.import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        return getattr(importlib.import_module(module), name)


def lived(config: Path, output: Path, log: Path, kill: Kill | None) -> Lived:
    """Run a process of the run to its end, which may come by a signal."""
    child, pipe = start(config, output, log)
    life, buffer, deadline = Lived(0, 0.0), b"", None
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if kill and left == 0:
                os.kill(child, kill.number)
                life.killed_in, deadline = kill.phase, None
                continue
            ready, _, _ = select.select([pipe], [], [], left)
            if not ready:
                continue
            data = os.read(pipe, 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                name, index, at = line.decode().split("\t")
                life.seen[name] += 1
                if int(index) >= 0 and name in ("training", "validation"):
                    life.batches.append((int(index), float(at)))
                if kill and name == kill.phase and life.seen[name] == kill.nth:
                    deadline = time.monotonic() + kill.wait
    finally:
        os.close(pipe)
    life.end = time.monotonic()
    life.status = os.waitpid(child, 0)[1]
    if life.status == 0:
        life.killed_in = None  # it was faster, or was asked to save and to go on
    return life


def lost(before: Lived, after: Lived) -> tuple[int, float]:
    """Return the batches and the seconds of work before a kill that the next process does again."""
    if not before.batches or not after.batches:
        return 0, 0.0
    again = after.batches[0][0]
    done = [at for position, at in before.batches if position >= again]
    return len(done), before.end - done[0] if done else 0.0


def end_of(output: Path) -> Mapping[str, Any]:
    """Return all that two runs must have in common, as bytes and numbers."""
    import jax
    from small_run import metrics, without_times

    from jaxnext.engine.checkpoint import Checkpoints

    with Checkpoints(output) as checkpoints:
        best = checkpoints.restore_model("best")[0]
        last = checkpoints._folders["last"].read(checkpoints.numbers("last")[-1], ["model", "optimizer"], [])[0]
        numbers = checkpoints.numbers("best"), checkpoints.numbers("last")[-1]
    leaves = {jax.tree_util.keystr(path): leaf.tobytes() for path, leaf in jax.tree.leaves_with_path((best, last))}
    left = sorted(path.name for path in output.rglob("*tmp*"))
    return {"figures": without_times(metrics(output)), "numbers": numbers, f"leftovers {left}": left} | leaves


def compared(expected: Path, output: Path) -> list[str]:
    """Return the names of what is not the same in two runs."""
    # In a process of its own: JAX starts threads, and this one forks.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            one, other = end_of(expected), end_of(output)
            names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
            os.write(write, "\n".join(names)[:60000].encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        names = file.read()
    status = os.waitpid(child, 0)[1]
    return names.splitlines() if status == 0 else [f"the comparison ended with status {status}"]


def killed_in_imports(config: Path, output: Path, wait: float) -> None:
    """Kill a process that is started as a user starts it, so long after its start."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "--config", str(config), "--output", str(output)]
    process = subprocess.Popen([*command, "--resume", "auto"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(wait)
    process.kill()
    process.wait()


class Campaign:
    """Kills of runs in one folder."""

    def __init__(self, folder: Path, seed: int, settings: Sequence[str], signals: Sequence[signal.Signals]) -> None:
        """Train the runs that nobody kills; a first one of each fills the compilation cache."""
        self.folder, self.random = folder, random.Random(seed)
        self.settings, self.signals = list(settings), list(signals)
        self.kills: collections.Counter[str] = collections.Counter()
        self.lost: list[tuple[int, float]] = []
        self.wrong: list[str] = []
        self.runs = 0
        self.whole: dict[str, Lived] = {}
        for name in self.settings:
            self._config(name).write_text(SETTINGS[name])
            life = self._lived(name, f"whole-{name}", None)
            if life.status:
                raise SystemExit((folder / "log").read_text())
            self.whole[name] = life

    def run(self, kills: int) -> None:
        """Kill so often, and go on with each run to its end."""
        while self.kills.total() < kills:
            name = self.settings[self.runs % len(self.settings)]
            self._chain(name, f"run-{self.runs}", kills)
            self.runs += 1
            print(report(self), file=sys.stderr, flush=True)

    def _chain(self, name: str, output: str, kills: int) -> None:
        before, begun = None, self.kills.total()
        while True:
            kill = self._kill(name) if self.kills.total() < min(kills, begun + KILLS_OF_A_RUN) else None
            if kill and kill.phase == IMPORTS:
                killed_in_imports(self._config(name), self.folder / output, kill.wait)
                self.kills[IMPORTS] += 1
                continue
            life = self._lived(name, output, kill)
            if before is not None:
                self.lost.append(lost(before, life))
            if kill and kill.number == signal.SIGUSR1 and life.seen[kill.phase] >= kill.nth:
                self.kills[f"{kill.phase} (SIGUSR1)"] += 1
            if life.killed_in is None or kill is None or life.status not in kill.statuses:
                break
            self.kills[kill.phase if kill.number == signal.SIGKILL else f"{kill.phase} ({kill.number.name})"] += 1
            # Where it did no batch, what the process before has done is still what may be lost.
            before = life if life.batches or before is None else before
        if life.status:
            self.wrong.append(f"{output} ({name}) ended with status {life.status}: {self._log()}")
        elif differences := compared(self.folder / f"whole-{name}", self.folder / output):
            self.wrong.append(f"{output} ({name}) differs in {', '.join(differences[:5])}")
        shutil.rmtree(self.folder / output)

    def _kill(self, name: str) -> Kill:
        number = self.signals[self.kills.total() % len(self.signals)]
        if number == signal.SIGKILL and self.random.random() < 0.08:
            return Kill(number, IMPORTS, 1, self.random.uniform(0, 3))
        seen = self.whole[name].seen
        phase = self.random.choice([phase for phase in PHASES if seen[phase]])
        nth = self.random.randint(1, max(seen[phase] // 4, 1))
        return Kill(number, phase, nth, self.random.uniform(0, WAITS.get(phase, 0.06)))

    def _lived(self, name: str, output: str, kill: Kill | None) -> Lived:
        return lived(self._config(name), self.folder / output, self.folder / "log", kill)

    def _config(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


def report(campaign: Campaign) -> str:
    """Return what the kills have shown."""
    batches, seconds = (max((each[i] for each in campaign.lost), default=0) for i in (0, 1))
    phases = ", ".join(f"{phase} {count}" for phase, count in sorted(campaign.kills.items()))
    lines = [f"{campaign.kills.total()} kills of {campaign.runs} runs: {phases}"]
    lines += [
        f"lost at most {batches} batches, {seconds:.2f} s of work, by one kill (a checkpoint every "
        f"{EVERY_STEPS} steps, where none is being written)"
    ]
    lines += campaign.wrong or ["every run ended with the same bits as the one that nobody killed"]
    return "\n".join(lines)


def main() -> int:
    """Read the options, kill, and print what it has shown; 1 where a run differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--signals", nargs="+", default=["KILL"], help="sent one after the other")
    arguments = parser.parse_args()
    signals = [signal.Signals[f"SIG{name}"] for name in arguments.signals]
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for places in PHASES.values():
            for place, _ in places:
                found(place)
        for name in ("jaxnext.training.fit", "jaxnext.cli.train", "jaxnext.cli.host", "sklearn.datasets", "small_run"):
            found(name)
        # No process of a run looks for cycles among what all are forked with.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        campaign = Campaign(Path(folder), arguments.seed, arguments.settings, signals)
        campaign.run(arguments.kills)
    print(report(campaign))
    return 1 if campaign.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
