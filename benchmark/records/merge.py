"""Bringing together the records of one suite that several machines have made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.records.folder import ResultsFolder


@dataclass(frozen=True)
class _Held:
    """Where the best record of a cell so far lies; `digest` is that of its result, empty for a failure."""

    folder: ResultsFolder
    digest: str


def merge(sources: Sequence[ResultsFolder], target: ResultsFolder, warn: Callable[[str], None]) -> int:
    """Copy to `target` what it lacks, and return how many records that were.

    A finished cell supersedes a failed one. Raises UsageError where the folders hold different things, or two
    results of one cell that differ in more than time, memory and environment; nothing is copied then.
    """
    manifest = sources[0].manifest()
    for folder in sources[1:]:
        folder.check(manifest)
    target.claim(manifest)
    held = {record.key: _Held(target, record.result_digest) for record in target.scan(warn)}
    for folder in sources:
        for record in folder.scan(warn):
            key = record.key
            found, known = _Held(folder, record.result_digest), held.get(key)
            if known is None or (found.digest and not known.digest):
                held[key] = found
            elif found.digest and found.digest != known.digest:
                method = METHODS.label(record.cell.method)
                raise UsageError(
                    f"'{known.folder.path}' and '{folder.path}' hold different results of {method}, seed "
                    f"{record.cell.seed} (record {key}); remove the wrong one, 'reweightbench verify' with "
                    "--methods and --seeds tells which it is"
                )
    copied = 0
    for folder in sources:
        keys = {key for key, found in held.items() if found.folder is folder}
        target.take(folder, keys, warn)
        copied += len(keys)
        for timing in folder.timings():
            known_timing = target.timing(timing.hardware)
            if known_timing is None or not known_timing.is_complete:
                target.write_timing(timing)
    return copied
