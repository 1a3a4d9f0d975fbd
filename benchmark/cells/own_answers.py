"""What the process that loads a user's file answers about its methods."""

import os
import signal
from pathlib import Path

from reweightbench.benchmark.cells.catalogue import answer_all
from reweightbench.benchmark.cells.own_files import OwnFile, keep_output_clean
from reweightbench.benchmark.contracts.discovery import read_user_files
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import parse_label
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.contracts.text import describe_error


def answer(file: str, labels: list[str] | None, seconds: float) -> None:
    """Load the file, write down the answers, and end, whatever the file has left running."""
    target = keep_output_clean()
    # The libraries are not part of the file's time.
    assert METHODS.classes
    # Without a handler it ends the process, whatever that is at.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    found = _load(Path(file), labels)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with os.fdopen(target, "w", encoding="utf-8") as stream:
        stream.write(found.model_dump_json())
    os._exit(0)


def _load(file: Path, labels: list[str] | None) -> OwnFile:
    try:
        names = METHODS.add_file(file)
        own = [name for name in names if METHODS.is_own(name)]
        siblings = sorted(read_user_files(file).keys() - {file.name})
        if labels is None:
            return OwnFile(names=names, own=own, siblings=siblings)
        asked = [label for label in labels if parse_label(label, METHODS.kind)[0] in own]
        answers = answer_all(METHODS, own, [*own, *asked])
        return OwnFile(names=names, own=own, siblings=siblings, answers=answers)
    except UsageError as error:
        return OwnFile(error=str(error))
    except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
        return OwnFile(error=f"'{file}' cannot be used: {describe_error(error)}")
