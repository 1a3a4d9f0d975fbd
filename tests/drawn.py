"""What a report finds in a made-up grid, and the plots that it draws of it."""

from typing import Any

from reweightbench.benchmark.report.findings import Findings, make_findings
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.plots import Plot, list_plots


def findings_of(grid: Any) -> Findings:
    return make_findings(grid.suite, grid.planned, grid.records.values())


def plots_of(grid: Any) -> dict[str, Plot]:
    findings = findings_of(grid)
    return {plot.name: plot for plot in list_plots(findings, make_frame(findings))}
