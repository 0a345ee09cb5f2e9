# make demo    encode, decode and look at a bundled excerpt       make test    everything that CI runs
# PYTHON is only used to make the virtual environment; all else is installed into it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help venv demo test test-slow test-gpu vectors lint clean

help:
	@echo "targets: venv demo test test-slow test-gpu vectors lint clean"

venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: venv
	$(BIN)/python tools/demo.py

lint: venv
	$(BIN)/ruff check .
	$(BIN)/mypy

# Two processes of one thread each: most tests are too small to use more.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: venv
	$(BIN)/python -m pytest -q -m slow

test-gpu: venv
	$(BIN)/python -m pytest -q -m gpu

vectors: venv
	$(BIN)/python tools/make_vectors.py

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
