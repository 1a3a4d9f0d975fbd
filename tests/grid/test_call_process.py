"""A call may write what it likes to its process's connection: that fails the call, and holds nobody up."""

import pickle
import threading

import pytest

from calls import count_up, make_bytes, refuse, write_to_sockets
from reweightbench.benchmark.contracts.errors import CallError, UsageError
from reweightbench.benchmark.grid.local import run_alone


@pytest.mark.parametrize(
    "content",
    [
        b"garbage!",
        b"garbage that is longer than what the length of an answer takes",
        (2**40).to_bytes(8),
        (4).to_bytes(8) + b"abcd",
        (2).to_bytes(4) + b"ab",
        (len(pickle.dumps(3))).to_bytes(8) + pickle.dumps(3),
    ],
)
def test_nonsense_is_a_failure_of_the_call(content: bytes) -> None:
    with pytest.raises(CallError, match="the worker answered nonsense"):
        run_alone(write_to_sockets, content, threads=1, seconds=60)


@pytest.mark.parametrize("content", [(100).to_bytes(8), (100).to_bytes(4), b"g"])
def test_an_answer_that_stops_in_the_middle_holds_nobody_up(content: bytes) -> None:
    # The fork server's own start is not part of the time.
    run_alone(count_up, 1, threads=1)
    with pytest.raises(CallError, match="did not end within 1 seconds"):
        run_alone(write_to_sockets, content, 10, threads=1, seconds=1)


def test_answers_of_any_size_arrive() -> None:
    for size in (0, 10**3, 10**6):
        assert run_alone(count_up, size, threads=1) == list(range(size))


def test_what_cannot_travel_is_a_failure_in_words() -> None:
    with pytest.raises(CallError, match="its value cannot be sent"):
        run_alone(threading.Lock, threads=1)
    with pytest.raises(CallError, match=r"its value has 268,[\d,]+ bytes; at most 268,435,456 are taken"):
        run_alone(make_bytes, 2**28, threads=1)
    with pytest.raises(UsageError, match="this is refused"):
        run_alone(refuse, threads=1)
