# A thin coat over a virtual environment; the plain lines stand in README.rst.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INPUTS := setup.cfg pyproject.toml

.PHONY: demo test lint types docs clean

demo: $(VENV)/installed-demo
	$(BIN)/mailprobe demo

test: $(VENV)/installed-test lint types
	$(BIN)/python -m pytest

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

docs: $(VENV)/installed-demo
	$(BIN)/python docs/make_verdicts.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-demo: $(BIN)/python $(INPUTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli]'
	touch $@

$(VENV)/installed-test: $(BIN)/python $(INPUTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
