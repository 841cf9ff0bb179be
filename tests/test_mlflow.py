from pathlib import Path

import pytest
import shown_epochs

from jaxnext.config.sections import LOGGERS

tracking = pytest.importorskip("mlflow.tracking", reason="needs mlflow-skinny")


@pytest.mark.filterwarnings("ignore")  # its own
def test_a_local_store_goes_on_with_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = str(tmp_path / "store")
    run = shown_epochs.show(LOGGERS.choose("mlflow", tracking_uri=store).build(), tmp_path / "r")
    client = tracking.MlflowClient(store)
    found = client.get_run(run)
    assert (found.info.run_name, found.info.status) == ("r", "FINISHED")
    assert found.data.params == {"epochs": "2", "data.path": "null"}
    assert [(each.step, each.value) for each in client.get_metric_history(run, "loss/val")] == [(1, 1.5), (2, 0.5)]
    assert [file.path for file in client.list_artifacts(run)] == ["first_batch_0000.png"]
