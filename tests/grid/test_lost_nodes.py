"""What becomes of a cell when Ray itself reports an error, on a stand-in for Ray's module that reports it."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from made_up import digits_cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid.local import Workers
from reweightbench.benchmark.grid.ray_cluster import run_cells
from reweightbench.benchmark.records.record import Record

ray = pytest.importorskip("ray")

CELLS = [digits_cell("sgd", epochs=1, clean_size=0, seed=seed) for seed in range(3)]


class FailingRay:
    """A cluster with one slot, on which every cell ends with the same error."""

    exceptions = ray.exceptions

    def __init__(self, error: Exception, cpus: float = 1.0) -> None:
        self._error, self._cpus = error, cpus
        self.attempts = self.most_at_once = 0
        self.is_connected = False

    def init(self, address: str, **options: object) -> None:
        self.is_connected = True

    def shutdown(self) -> None:
        self.is_connected = False

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "Resources": {"CPU": self._cpus}},
            {"Alive": False, "Resources": {"CPU": 64.0}},
        ]

    def remote(self, **options: object) -> Any:
        assert options == {"num_cpus": 1, "num_gpus": 0, "max_retries": 0}
        return lambda function: SimpleNamespace(remote=self._start)

    def _start(self, *arguments: object) -> int:
        self.attempts += 1
        return self.attempts

    def wait(self, references: list[int], timeout: float) -> tuple[list[int], list[int]]:
        self.most_at_once = max(self.most_at_once, len(references))
        return (references[:1], references[1:]) if self._cpus else ([], references)

    def get(self, reference: int) -> Any:
        raise self._error


def run(fake: FailingRay, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    monkeypatch.setitem(sys.modules, "ray", fake)
    records: list[Record] = []
    run_cells(CELLS, Sources(), Workers(jobs=5), lambda outcome, seconds: records.append(outcome.record))
    assert not fake.is_connected
    assert [record.key for record in records] == [cell.key for cell in CELLS]
    return records


@pytest.mark.parametrize(
    ("error", "attempts", "status", "reason"),
    [
        (ray.exceptions.NodeDiedError("gone"), 9, "crashed", "its node was lost 3 times"),
        (ray.exceptions.ObjectLostError("00", None, ""), 9, "crashed", "its node was lost 3 times"),
        (ray.exceptions.WorkerCrashedError(), 3, "crashed", "the Ray worker that ran the cell was killed"),
        (ray.exceptions.OutOfMemoryError("full"), 3, "oom", "the node ran out of memory"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_only_a_lost_node_makes_a_cell_run_again(
    error: Exception, attempts: int, status: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FailingRay(error)
    records = run(fake, monkeypatch)
    assert fake.attempts == attempts
    assert fake.most_at_once == 1
    assert all(record.status == status for record in records)
    assert all(reason in (record.reason or "") for record in records)


def test_a_lost_connection_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FailingRay(ray.exceptions.RaySystemError("first\nthe head is gone"))
    with pytest.raises(UsageError, match=r"^the connection to Ray was lost: .*the same command goes on"):
        run(fake, monkeypatch)
    assert not fake.is_connected


def test_a_cluster_without_a_slot_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no node of the cluster has 1 CPU for a cell"):
        run(FailingRay(ValueError(), cpus=0), monkeypatch)
