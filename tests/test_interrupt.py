import os
import signal

import pytest

from jaxnext.cli.interrupt import SaveOnRequest, stop_on_interrupt


def test_the_first_interrupt_asks_and_the_second_raises(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert "press Ctrl-C again to stop at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_command_says_in_its_own_words_what_it_does(capfd: pytest.CaptureFixture[str]) -> None:
    with stop_on_interrupt("it ends") as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert capfd.readouterr().err == "\nit ends\n"


def test_sigterm_asks_however_often_it_comes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_interrupt() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_end_of_the_terminal_asks_unless_it_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_on_interrupt() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with stop_on_interrupt() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_closed_does_not_matter() -> None:
    main, terminal = os.openpty()
    os.close(main)
    kept = os.dup(2)
    os.dup2(terminal, 2)
    try:
        with pytest.raises(OSError, match="Input/output error"):
            os.write(2, b"x")
        with stop_on_interrupt() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(terminal)


def test_requests_to_save(capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)]
    with SaveOnRequest() as requests:
        assert (requests.saves, requests.stop) == (0, False)
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        assert (requests.saves, requests.stop) == (2, False)
        signal.raise_signal(signal.SIGUSR2)
        assert (requests.saves, requests.stop) == (2, True)
    going_on = "\nsaving after this step, and going on\n"
    assert capfd.readouterr().err.startswith(f"{going_on}{going_on}\nstopping after this step")
    # While the process ends, neither ends it before.
    signal.raise_signal(signal.SIGUSR1)
    for number, handler in zip((signal.SIGUSR1, signal.SIGUSR2), before, strict=True):
        assert signal.signal(number, handler) == signal.SIG_IGN
