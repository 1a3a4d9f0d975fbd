"""A process for one call: whatever the call does to its process, nothing of it reaches another one."""

import multiprocessing
import os
import pickle
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkServerContext
from typing import Any

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.text import describe_error

TRIES = 3
"""How often a process is started before there is said to be none."""

LAST_SECONDS = 2.0
"""How long a process that has gone silent may take to end."""

UNKNOWN = 255
"""What multiprocessing calls the exit code of a process whose fork server was killed."""

LENGTH = struct.Struct("!Q")
"""How an answer begins: the number of bytes that follow."""

MOST_BYTES = 2**28
"""How many bytes an answer may have."""

PIECE_BYTES = 2**20
"""How many bytes are read at a time, so that no process keeps the others waiting."""


@dataclass(frozen=True)
class Answer:
    """What a call returned, or else how it failed: a line, and whether a user can mend it."""

    value: Any = None
    failure: str = ""
    is_usage: bool = False


class CallProcess:
    """A fresh process that stands ready, makes one call and ends with all that the call has started."""

    def __init__(self, context: ForkServerContext) -> None:
        """Raises UsageError where no process can be started."""
        self._received = bytearray()
        self._is_complete = False
        for _ in range(TRIES):
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,))
            try:
                with _interrupts_later():
                    self._process.start()
            except (OSError, EOFError) as error:
                # A fork server that has died is noticed, and replaced, at the next try.
                self._pipe.close()
                reason = describe_error(error)
                time.sleep(0.1)
            else:
                self._is_orphan = False
                return
            finally:
                theirs.close()
        raise UsageError(
            f"no worker process can be started ({reason}); finished cells are kept, the same command goes on from there"
        )

    def call(self, function: Callable[..., Any], *arguments: object) -> bool:
        """Have the call made; False where the process has ended already."""
        with suppress(OSError):
            self._pipe.send((function, arguments))
            return True
        return False

    def collect(self) -> Answer | str:
        """The answer, or how the process ended without one; kills what is left of the process."""
        answer = self._find_answer()
        self.end()
        return answer

    def end(self) -> None:
        """Kill the process, and those that it has started."""
        pid = self._process.pid
        assert pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._process.exitcode is None or self._is_orphan:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.join(LAST_SECONDS)
        self._pipe.close()

    @property
    def signs(self) -> list[Any]:
        """What becomes readable when the process has answered or ended."""
        return [self._pipe] if self._is_orphan else [self._pipe, self._process.sentinel]

    def has_ended(self) -> bool:
        """Whether there is something to collect; reads what the process has sent, and waits for nothing."""
        if self._is_complete or self._pipe.poll():
            return self._read_piece()
        if self._is_orphan or self._process.is_alive():
            return False
        # The process is its fork server's child; where that was killed, it lives on and still answers.
        self._is_orphan = _exists(self._process.pid)
        return not self._is_orphan

    def _read_piece(self) -> bool:
        """Whether nothing more is to come, once a piece is read: a call may have written to the pipe itself."""
        if not self._is_complete:
            piece = b""
            with suppress(OSError):
                piece = os.read(self._pipe.fileno(), PIECE_BYTES)
            self._received += piece
            self._is_complete = not piece or not len(self._received) < self._size <= MOST_BYTES
        return self._is_complete

    @property
    def _size(self) -> int:
        """How many bytes the answer has by its own account, or that account itself."""
        if len(self._received) < LENGTH.size:
            return LENGTH.size
        size: int = LENGTH.size + LENGTH.unpack_from(self._received)[0]
        return size

    def _find_answer(self) -> Answer | str:
        while not self._is_complete and self._pipe.poll():
            self._read_piece()
        if len(self._received) < self._size <= MOST_BYTES:
            return self._describe_end()
        # Anything can be raised by bytes that are no answer.
        with suppress(Exception):
            answer = pickle.loads(self._received[LENGTH.size : self._size])
            if isinstance(answer, Answer):
                return answer
        return "the worker answered nonsense"

    def _describe_end(self) -> str:
        self._process.join(LAST_SECONDS)
        code = self._process.exitcode
        if code is None:
            return "the worker closed its connection to the grid"
        if code == UNKNOWN:
            return "the worker ended, and its exit code was lost"
        return (
            f"the worker was killed by signal {-code}" if code < 0 else f"the worker exited with code {code}"
        )


def wait(processes: Iterable[CallProcess], seconds: float | None = None) -> list[CallProcess]:
    """Those that have something to collect, after that many seconds at most."""
    signs = {sign: process for process in processes for sign in process.signs}
    ready = {signs[sign]: None for sign in connection.wait(list(signs), seconds)}
    return [process for process in ready if process.has_ended()]


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Have Ctrl-C wait for the end: a process whose start breaks off half-way complains on the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for number in came[:1]:
            signal.raise_signal(number)


def _exists(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return True


def _serve(pipe: "connection.Connection[Any, Any]") -> None:
    """In the process: make the call and be gone, whatever threads and children it leaves."""
    # Ctrl-C reaches the whole group of the terminal; the parent decides what it means. A group of its own lets
    # the parent end this process with all that it has started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        function, arguments = pipe.recv()
    except EOFError:
        os._exit(0)
    process = os.getpid()
    answer = _encode(_make_call(function, arguments))
    if os.getpid() == process:
        # A fork that the call has left behind comes here too.
        with suppress(OSError), open(pipe.fileno(), "wb", closefd=False) as connected:
            connected.write(LENGTH.pack(len(answer)) + answer)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    os._exit(0)


def _make_call(function: Callable[..., Any], arguments: Iterable[object]) -> Answer:
    try:
        return Answer(function(*arguments))
    except UsageError as error:
        return Answer(failure=str(error), is_usage=True)
    except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes, and only text can travel
        return Answer(failure=describe_error(error))


def _encode(answer: Answer) -> bytes:
    """The bytes of an answer, or of one that says why it cannot travel."""
    try:
        content = pickle.dumps(answer)
    except Exception as error:  # noqa: BLE001 - what cannot be pickled raises errors of many types
        return pickle.dumps(Answer(failure=f"its value cannot be sent: {describe_error(error)}"))
    if len(content) > MOST_BYTES - LENGTH.size:
        return pickle.dumps(
            Answer(failure=f"its value has {len(content):,} bytes; at most {MOST_BYTES:,} are taken")
        )
    return content


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its processes, and nobody would take their answers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            parent.join()
        os._exit(1)
