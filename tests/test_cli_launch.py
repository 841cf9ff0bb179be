"""What is started, and when again; ``test_distributed`` starts real runs with it."""

import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jaxnext.cli import launch
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.launch import Arguments, environment, gpus_of, outcome, parse
from jaxnext.cli.supervisor import Supervisor
from jaxnext.config.packaged import configs_folder
from jaxnext.errors import UsageError

TRAIN = ["--", "train", "--config", "quickstart"]


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(launch, "_PAUSE_SECONDS", 0)


class Recorded(Supervisor):
    """Ends as it is told, and keeps what it was to run."""

    def __init__(self, *statuses: list[int]) -> None:
        super().__init__()
        self.statuses, self.asked_after = list(statuses), 99
        self.options: list[list[list[str]]] = []
        self.environments: list[Mapping[str, str]] = []

    def run(self, commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]]) -> list[int]:
        self.options.append([json.loads(command[-1])[0] for command in commands])
        self.environments = [dict(each) for each in environments]
        if len(self.options) == self.asked_after:
            self.asked = signal.SIGTERM
        return self.statuses.pop(0)


def launched(supervisor: Supervisor, restarts: int = 0, train: Sequence[str] = ("--config", "fc")) -> int:
    ports = iter(range(4000, 5000))
    return launch.launch(Arguments(2, restarts, list(train), []), Invocation(), supervisor, lambda: next(ports))


def test_two_processes_find_each_other_on_this_machine_alone() -> None:
    supervisor = Recorded([0, 0])
    assert launched(supervisor) == 0
    together = ["--coordinator_address", "127.0.0.1:4000", "--num_processes", "2", "--process_id"]
    assert supervisor.options == [[["--config", "fc", *together, "0"], ["--config", "fc", *together, "1"]]]
    assert {each["JAX_COORDINATOR_BIND_ADDRESS"] for each in supervisor.environments} == {"127.0.0.1:4000"}


def test_where_one_has_died_all_are_started_again_on_another_port_and_go_on(capsys: Any) -> None:
    supervisor = Recorded([1, -9], [1, 1], [0, 0])
    assert launched(supervisor, restarts=5) == 0
    first = [start[0] for start in supervisor.options]
    assert [options[-5] for options in first] == ["127.0.0.1:4000", "127.0.0.1:4001", "127.0.0.1:4002"]
    assert ["--resume" in options for options in first] == [False, True, True]
    assert first[2][:4] == ["--config", "fc", "--resume", "auto"]
    assert capsys.readouterr().err.splitlines() == [
        "process 1 was ended by SIGKILL",
        "starting all again with --resume auto (1 of 5)",
        "starting all again with --resume auto (2 of 5)",
    ]


def test_no_more_often_than_it_may_and_a_resume_that_was_given_stays(capsys: Any) -> None:
    supervisor = Recorded([-11, 1], [1, 1])
    assert launched(supervisor, restarts=1, train=["--resume=auto"]) == 1
    assert [start[1][:1] for start in supervisor.options] == [["--resume=auto"]] * 2
    assert "--resume" not in supervisor.options[1][0]


@pytest.mark.parametrize("statuses", [[2, 1], [130, 130], [130, 1]])
def test_neither_after_a_mistake_nor_after_an_interruption(statuses: list[int]) -> None:
    assert launched(Recorded(statuses), restarts=3) == statuses[0]


def test_not_where_it_was_asked_to_stop_meanwhile() -> None:
    supervisor = Recorded([1, 1])
    supervisor.asked_after = 1
    assert launched(supervisor, restarts=3) == 130


@pytest.mark.parametrize(
    ("statuses", "asked", "status"),
    [
        ([0, 0], None, 0),
        ([0, 0], 15, 0),
        ([1, 2], None, 2),
        ([130, 1], 2, 130),
        ([-15, -9], 15, 130),
        ([-15, -9], None, 1),
        ([1, 1], 15, 1),
        ([-9, 0], None, 1),
    ],
)
def test_the_exit_status(statuses: list[int], asked: int | None, status: int) -> None:
    assert outcome(statuses, asked) == status


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parse(["--processes", "2", "--restarts=3", *TRAIN, "--epochs", "3"], Invocation(), configs_folder())
    assert found == Arguments(2, 3, ["--config", "quickstart", "--epochs", "3"], [])
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert parse(TRAIN, Invocation(), configs_folder()).processes == 2


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (TRAIN, "--processes is missing: give their number, for no GPU was found"),
        (["--processes", "0", *TRAIN], "--processes: expected at least 1, found 0"),
        (["--processes", "2"], "expected '-- train' and its options, found none"),
        (["--processes", "2", "--", "predict", "x"], "expected '-- train' and its options, found predict x"),
        (["--processes", "2", "--", "train"], "--config is missing: "),
        (["--processes", "2", *TRAIN, "--epoch", "3"], "unknown option --epoch; did you mean --epochs?"),
        (
            ["--processes", "2", *TRAIN, "--process_id=1"],
            "--process_id: expected none, since launch connects the processes, found one; leave it out",
        ),
    ],
)
def test_mistakes_are_one_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv, Invocation(), configs_folder())
    assert str(error.value).startswith(sentence)


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UsageError) as error:
        parse(["--processes", "2", *TRAIN], Invocation(), configs_folder())
    assert str(error.value) == "--processes: expected at most the 1 GPUs of this machine, found 2"


def test_each_process_has_gpus_of_its_own() -> None:
    arguments = Arguments(2, 0, [], ["0", "3", "GPU-5", "6", "7"])
    shares = [environment({"A": "b", "CUDA_VISIBLE_DEVICES": "x"}, arguments, index) for index in (0, 1)]
    assert shares == [
        {"A": "b", "CUDA_VISIBLE_DEVICES": "0,3", "JAX_LOCAL_DEVICE_IDS": "0,1"},
        {"A": "b", "CUDA_VISIBLE_DEVICES": "GPU-5,6", "JAX_LOCAL_DEVICE_IDS": "0,1"},
    ]
    assert environment({"A": "b"}, Arguments(2, 0, [], []), 1) == {"A": "b"}


def test_the_gpus_of_this_machine(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus_of({}, tmp_path) == ["0", "1"]
    assert gpus_of({"JAX_PLATFORMS": "cuda,cpu"}, tmp_path) == ["0", "1"]
    assert gpus_of({"JAX_PLATFORMS": "cpu"}, tmp_path) == []
    assert gpus_of({"CUDA_VISIBLE_DEVICES": "1,GPU-a"}, tmp_path) == ["1", "GPU-a"]
    assert gpus_of({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
    assert gpus_of({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == []
