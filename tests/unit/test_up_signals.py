"""What asks `crossview up` to end is heard once; the whole of it is ended in test_up."""

from __future__ import annotations

import signal

import pytest

from jobs.commands.up import _Enough, _signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_heard_and_a_second_one_breaks_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _signals():
        with pytest.raises(_Enough):
            signal.raise_signal(number)
        for another in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(another)
    assert signal.getsignal(number) is before
