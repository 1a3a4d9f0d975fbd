"""Which code made a record, and whether it is the code that is here."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from reweightbench.benchmark.cells.catalogue import find_digest, find_engine_digest
from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.records.code_list import ENGINE, REGISTRIES, gives_same_bits
from reweightbench.benchmark.records.record import CodeDigests, Record


def describe_code(cell: Cell) -> CodeDigests:
    """The digests of the code with which this process runs a cell."""
    specs: dict[str, Spec | None] = {field: getattr(cell, field) for field in REGISTRIES}
    digests = {field: find_digest(REGISTRIES[field], spec.name) for field, spec in specs.items() if spec}
    return CodeDigests(engine=find_engine_digest(), **digests)


class CodeChanges:
    """Counts, of the records with these keys that pass by, those that were made by other code than the present.

    A record that does not know its code counts as made by the present one. `found` are the keys of the others.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self.found: set[str] = set()
        self._keys = keys
        self._counts: Counter[str] = Counter()
        self._answers: dict[tuple[str, str, str], bool] = {}

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records."""
        for record in records:
            if record.sources is not None and record.key in self._keys:
                changed = list(self._find_changed(record.cell, record.sources))
                self._counts.update(changed)
                if changed:
                    self.found.add(record.key)
            yield record

    def lines(self) -> list[str]:
        """A sentence for each component that has changed."""
        return [
            f"{count} record{' was' if count == 1 else 's were'} made by other code of {name}; "
            f"--rerun-changed repeats {'it' if count == 1 else 'them'}"
            for name, count in sorted(self._counts.items())
        ]

    def _find_changed(self, cell: Cell, made_by: CodeDigests) -> Iterator[str]:
        if self._is_other(ENGINE, "", made_by.engine):
            yield f"the {ENGINE}"
        for field in REGISTRIES:
            spec, digest = getattr(cell, field), getattr(made_by, field)
            if spec and digest and self._is_other(field, spec.name, digest):
                yield spec.name

    def _is_other(self, field: str, name: str, digest: str) -> bool:
        question = field, name, digest
        if question not in self._answers:
            present = find_digest(REGISTRIES[field], name) if name else find_engine_digest()
            self._answers[question] = present not in (None, digest) and not gives_same_bits(
                f"{field} {name}".strip(), digest, present
            )
        return self._answers[question]
