# make demo    train the core methods on scikit-learn's digits and write the report into runs/
# make test    the whole test suite
# make check   formatting, lint, types, import contracts and the tests: what CI runs
# make test-cuda  every promise that needs a GPU, with .venv or else with PYTHON as it is
# make chaos   kill a grid thirty times at random moments and compare what it comes to
# make fuzz    ten MINUTES of command lines, suites and damaged results folders drawn at random
# make bench   measure the hot paths and the harness against other code, on an idle machine
# make format  rewrite the code in the project's format
# make clean   remove build products and caches; .venv and runs/ stay
#
# PYTHON names the interpreter that .venv is made with, or that runs test-cuda where there is none, JOBS the processes of the demo and of the tests, BENCH further
# options of the benchmarks, MINUTES how long to fuzz.

PYTHON ?= python3
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
MINUTES ?= 10
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-cuda check chaos fuzz bench format clean
.DELETE_ON_ERROR:
# Two installations into one environment must not overlap.
.NOTPARALLEL:

demo: .venv/installed
	$(BIN)/reweightbench run digits --seeds 0-2 --jobs $(JOBS)
	$(BIN)/reweightbench report digits --seeds 0-2

test: .venv/installed-dev
	$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(MAKE) --no-print-directory test

# Without installing anything: a machine with a GPU has its own torch, and often no network. Another version may
# warn of other things, and only pytest itself is needed of the development tools.
test-cuda:
	PYTHONPATH=$(CURDIR)/src $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m pytest tests/cuda -rs \
		-o addopts="-q --import-mode=importlib --strict-markers" -o filterwarnings=default

chaos: .venv/installed-dev
	REWEIGHTBENCH_KILLS=30 $(BIN)/pytest tests/grid/test_chaos.py

fuzz: .venv/installed-dev
	REWEIGHTBENCH_FUZZ_MINUTES=$(MINUTES) $(BIN)/pytest tests/fuzz

bench: .venv/installed-dev
	@$(INSTALL) -e '.[bench]'
	$(BIN)/pytest tests/benchmarks --benchmark-enable --benchmark-autosave $(BENCH)

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist cuda-results .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find benchmark methods datasets src tests -name __pycache__ -prune -exec rm -rf {} +

# The stamps make an up-to-date environment cost nothing; the development one includes the other.
.venv/installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing reweightbench and PyTorch into .venv (about 6 GB on Linux); this takes minutes once."
	@$(INSTALL) -e .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing reweightbench, PyTorch and the development tools into .venv (about 6 GB on Linux); this takes minutes once."
	@$(INSTALL) -e '.[dev]'
	@touch .venv/installed $@

# venv writes pip after everything that is needed here, so an interrupted .venv is made again.
$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { \
		echo "no '$(PYTHON)' here; install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), too old; name 3.11 or newer: make PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -m venv .venv
