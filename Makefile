# A thin coat over a virtual environment; the plain lines stand in README.rst.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INPUTS := setup.cfg pyproject.toml
# How long `make fuzz` runs each target, in seconds, and where it keeps what it finds.
FUZZ_SECONDS ?= 600
FOUND ?= build/fuzz

.PHONY: demo test bench lint types conduct crash damage curve fuzz docs clean

demo: $(VENV)/installed-demo
	$(BIN)/mailprobe demo

test: $(VENV)/installed-test lint types
	$(BIN)/python -m pytest

# Some minutes; docs/benchmarks.rst says what it measures.
bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks

# Thousands of kill -9; hours. It ends with what was counted at the exchangers.
KILLS ?= 3000
crash: $(VENV)/installed-test
	MAILPROBE_KILLS=$(KILLS) $(BIN)/python -m pytest -rP tests/daemon/test_kills.py \
	  tests/daemon/test_upgrades.py tests/jobs/test_jobs_crash.py tests/jobs/test_job_options_crash.py \
	  tests/jobs/test_keeping_crash.py tests/jobs/test_restoring.py tests/jobs/test_ledger_versions.py

# Thousands of damaged ledgers; an hour.
DAMAGES ?= 5000
damage: $(VENV)/installed-test
	MAILPROBE_DAMAGES=$(DAMAGES) $(BIN)/python -m pytest tests/jobs/test_ledger_damage.py

# The curve of docs/ledger.rst; half an hour, and 7 GB of disk below the directory for temporary files.
curve: $(VENV)/installed-test
	$(BIN)/python benchmarks/ledger_curve.py 100000 1000000 10000000

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

fuzz: $(VENV)/installed-test
	for target in grammar session; do \
	  mkdir -p $(FOUND)/$$target && \
	  $(BIN)/python -m tests.fuzz $$target -dict=tests/fuzz/smtp.dict -max_len=1024 -timeout=20 \
	    -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(FOUND)/$$target- \
	    $(FOUND)/$$target tests/fuzz/corpus/$$target || exit 1; \
	done

# The picture needs Graphviz's `dot`; the tests do not.
docs: $(VENV)/installed-test
	$(BIN)/python docs/make_verdicts.py
	$(BIN)/python -m docs.make_states
	$(BIN)/python -m docs.make_tls
	dot -Tsvg -o docs/states.svg docs/states.dot

# Needs root and the packages of real servers: see tests/interop.
conduct: $(VENV)/installed-test
	$(BIN)/python -m tests.interop.report

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-demo: $(BIN)/python $(INPUTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli]'
	touch $@

$(VENV)/installed-bench: $(BIN)/python $(INPUTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

$(VENV)/installed-test: $(BIN)/python $(INPUTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
