"""A suite of a tiny network, and processes that take known times."""

from benchmarks.suite import Around
from benchmarks.suite_parts import Options, Task
from flat_config import model_config

from jaxnext.config.sections import Config, DataConfig
from jaxnext.errors import JaxnextError

CONFIG = Config(
    data=DataConfig(image_size=32),
    model=model_config(
        stage_sizes=(1, 2),
        widths=(4, 8),
        features=(8, 16),
        stem_features=4,
        groups=2,
        attention="cbam",
        reduction=4,
        head="fc",
        head_widths=(8,),
        classes=5,
    ),
)
OPTIONS = Options(
    CONFIG,
    "tiny",
    batch_sizes=(2, 4),
    batch_size=2,
    rounds=1,
    passes=2,
    sample_seconds=0.01,
    candidates=("jaxnext", "torch_compile"),
    formulations=("native", "packed32"),
)
HERE = {
    "machine": {"cpu": "a CPU", "cores": 4, "gpu": "a GPU", "driver": "1.2"},
    "system": "Linux",
    "versions": {"jax": "0.10.2", "torch": "2.9", "timm": None},
}
RECORD = {"samples": [0.5], "compile_seconds": 3.0, "peak_memory_bytes": 10, "compiled_memory_bytes": 8}


class World:
    """Processes that take a second, or as long as they may; what they answer, and what was asked of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.here = HERE
        self.answers: dict[str, list[dict | str | float]] = {}
        """by the task's name, in turn, the last of them from then on: a record, why there is none, or seconds"""
        self.asked: list[str] = []
        self.said: list[str] = []

    def worker(self, task: Task, seconds: float, part: str) -> dict:
        if task.kind == "describe":
            return {key: dict(value) if isinstance(value, dict) else value for key, value in self.here.items()}
        self.asked.append(f"{part} {task.name}")
        answers = self.answers.get(task.name, [RECORD])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, float):
            self.now += min(answer, seconds)
            if answer > seconds:
                raise JaxnextError("it was stopped")
            return RECORD
        self.now += 1
        if isinstance(answer, str):
            raise JaxnextError(answer)
        return answer

    def around(self) -> Around:
        return Around(
            self.worker, lambda: self.now, lambda: "2026-11-23T05:00:00+00:00", lambda: 0.25, self.said.append
        )
