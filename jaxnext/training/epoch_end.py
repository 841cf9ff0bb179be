"""The end of an epoch: its record, its checkpoints, its line."""

from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError
from jaxnext.metrics import Accumulator
from jaxnext.training.nonfinite import check_epoch, left_out, summary
from jaxnext.training.progress import Progress, Record
from jaxnext.training.run import Run
from jaxnext.training.saving import save_epoch
from jaxnext.training.time_left import time_left


def finish(
    run: Run, state: TrainState, progress: Progress, validation: Accumulator, seconds: float, data_wait: float
) -> Progress:
    """Record an epoch, move the schedule, save, draw.

    Args:
        run: that is trained.
        state: after the epoch's last step.
        progress: with the sums of its training steps.
        validation: sums over the validation images.
        seconds: that the epoch took, its validation included.
        data_wait: seconds of these in which data was waited for.

    Returns:
        where the run stands: at the beginning of the next epoch.

    Raises:
        JaxnextError: not one image could be read, a loss is not finite, or what is saved cannot be written.
    """
    training, epoch = Accumulator(progress.sums), len(progress.history) + 1
    run.corrupt.share(run.processes)
    check_epoch(training, epoch)
    _check_any(run, training, "training")
    _check_any(run, validation, "validation")
    last_step = epoch * run.order.train_steps_per_epoch - 1
    record: Record = {
        "epoch": epoch,
        "train_loss": training.mean("loss"),
        "train_accuracy": training.mean("correct"),
        "val_loss": validation.mean("loss"),
        "val_accuracy": validation.mean("correct"),
        "learning_rate": run.rate(progress, last_step),
        "images_per_second": int(training.sums["count"]) / progress.seconds,
        "data_wait_fraction": data_wait / seconds,
        "seconds": seconds,
        **left_out(run, training),
    }
    run.check_finite("validation loss", record["val_loss"], f"epoch {epoch}", progress)
    best = progress.best is None or record["val_accuracy"] > progress.best["val_accuracy"]
    schedule = run.schedule.after_epoch(progress.schedule, record["val_loss"])
    progress = Progress(
        schedule, epoch * run.order.batches_per_epoch, (*progress.history, record), nonfinite=progress.nonfinite
    )
    if run.processes.first:
        save_epoch(run, state, progress, best)
        left = time_left(seconds, run.config.epochs - epoch)
        run.env.console.say(_line(record, run.config.epochs, best) + left + run.corrupt.summary())
        run.monitor.epoch(state, record, best)
    run.cache.flush()
    run.processes.barrier()
    return progress


def _check_any(run: Run, sums: Accumulator, what: str) -> None:
    """Raise where not one image of an epoch's training or validation could be read."""
    if not int(sums.sums["count"]):
        if run.processes.first:
            run.corrupt.write()
        raise JaxnextError(
            f"expected {what} images, found that not one can be read; {run.corrupt.file} has the reasons"
        )


def _line(record: Record, epochs: int, best: bool) -> str:
    return (
        f"epoch {record['epoch']}/{epochs}: "
        f"train loss {record['train_loss']:.4f}, accuracy {record['train_accuracy']:.2%}; "
        f"val loss {record['val_loss']:.4f}, accuracy {record['val_accuracy']:.2%}{' (best)' if best else ''}; "
        f"learning rate {record['learning_rate']:g}; {record['images_per_second']:.0f} images/s, "
        f"data wait {record['data_wait_fraction']:.1%}{summary(record)}"
    )
