"""The counts of a run over drawn command lines, printed when all is done."""

from collections import Counter

import pytest

TRIED = Counter[tuple[str, int]]()
"""How often a command ended with an exit code."""


@pytest.fixture(scope="session")
def tried() -> Counter[tuple[str, int]]:
    """What the tests count."""
    return TRIED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Command lines tried, by command and exit code."""
    if TRIED:
        terminalreporter.write_line(f"{TRIED.total()} command lines tried, by exit code:")
    for name in sorted({name for name, _ in TRIED}):
        codes = sorted((code, count) for (other, code), count in TRIED.items() if other == name)
        counts = ", ".join(f"{code}: {count}" for code, count in codes)
        terminalreporter.write_line(f"  {name:8} {counts}")
