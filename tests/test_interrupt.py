import signal

import pytest

from jaxnext.cli.interrupt import stop_on_interrupt


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
