"""A user's own method put to the checks of the contract."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reweightbench.benchmark.conformance.promises import CHECKS, Check, list_forms
from reweightbench.benchmark.conformance.requirements import BrokenPromiseError
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.contracts.text import describe_error, one_line


@dataclass(frozen=True)
class Verdict:
    """Whether the method of a label keeps a promise; `reason` says why not, and is empty if it does."""

    label: str
    promise: str
    reason: str

    @property
    def is_kept(self) -> bool:
        """Whether the promise is kept."""
        return not self.reason


def check_file(path: Path) -> Iterator[Verdict]:
    """The verdict of every check on every method of a Python file, in each of its forms."""
    for name in METHODS.add_file(path):
        try:
            labels = list_forms(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's code raises is the finding
            yield Verdict(name, "can be made from its name", _explain(error, path))
            continue
        for label in labels:
            is_good = True
            for check in CHECKS:
                if check is CHECKS[-1] and not is_good:
                    reason = "not tried before the others are kept"
                else:
                    reason = _find_reason(check, label, path)
                is_good = is_good and not reason
                yield Verdict(label, check.__name__.replace("_", " "), reason)


def _find_reason(check: Check, label: str, path: Path) -> str:
    """Why a check fails; empty if it does not."""
    try:
        check(label)
    except BrokenPromiseError as error:
        return one_line(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - as above
        return _explain(error, path)
    return ""


def _explain(error: BaseException, path: Path) -> str:
    return f"{describe_error(error)}{_find_place(error, path)}"


def _find_place(error: BaseException, path: Path) -> str:
    """Where in the file the error comes from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" ({path.name}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""
