"""What is kept of the records: everything that reports need, and little memory."""

import tracemalloc

import numpy as np

from made_up import build_grid
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.report.findings import make_findings


def test_findings_keep_the_order_of_the_plan_and_leave_out_other_cells() -> None:
    grid = build_grid()
    first, second, third = (plan.key for plan in grid.planned[:3])
    grid.fail(grid.planned[2], "oom", "too large")
    records = [record for record in reversed(grid.records.values()) if record.key != first]
    findings = make_findings(grid.suite, [plan for plan in grid.planned if plan.key != second], records)
    assert [finished.planned for finished in findings.finished] == grid.planned[3:]
    assert [(absent.planned.key, absent.status) for absent in findings.absent] == [
        (first, "missing"),
        (third, "oom"),
    ]


def test_confusion_matrices_of_the_seeds_are_added_up() -> None:
    grid = build_grid(seeds=(0, 1, 2))
    findings = make_findings(grid.suite, grid.planned, grid.records.values())
    plan = grid.planned[0]
    beside = [grid.records[other.key] for other in grid.find(method=plan.method, corruption=plan.corruption)]
    np.testing.assert_array_equal(
        findings.confusions[plan.budget, plan.clean_size, plan.corruption, plan.method],
        np.sum([record.result.last.confusion for record in beside if record.result], axis=0),
    )


def test_findings_take_a_fraction_of_the_memory_of_the_records() -> None:
    grid = build_grid(budgets={"long": 30}, seeds=range(20))
    texts = [record.model_dump_json() for record in grid.records.values()]
    tracemalloc.start()
    try:
        records = [Record.model_validate_json(text) for text in texts]
        whole = tracemalloc.get_traced_memory()[0]
        del records
        before = tracemalloc.get_traced_memory()[0]
        findings = make_findings(grid.suite, grid.planned, map(Record.model_validate_json, texts))
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(findings.finished) == len(texts)
    assert kept < whole / 5
