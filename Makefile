# Two commands for a fresh machine with Python 3.11 or newer and make: `make demo`, `make test`.
# Each makes the virtual environment .venv and installs what it needs.

PYTHON ?= python3
# One version of torch for everybody who works on the project; users of the library need >= 2.6.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo core wheels test fast exhaustive lint types docs outputs reference benchmarks-page notebooks release clean

demo: $(VENV)/demo-ready
	rm -rf runs/demo
	$(BIN)/thence train --config recipes/given-names.toml --snapshots 20 --output runs/demo
	$(BIN)/thence evaluate runs/demo --split test
	$(BIN)/thence next runs/demo Mari
	$(BIN)/thence sample runs/demo --count 12
	$(BIN)/thence report runs/demo
	@echo "Open runs/demo/report.html in a browser; the README shows how to use your own text."

test: $(VENV)/test-ready lint types
	$(BIN)/python -m pytest -n 2 --dist worksteal

fast: $(VENV)/test-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not data"

# Every case of the products of which `make test` runs a sample.
exhaustive: $(VENV)/test-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m exhaustive

lint: $(VENV)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/test-ready
	$(BIN)/mypy

docs: $(VENV)/test-ready
	$(BIN)/python docs/build_live.py
	PYTHONPATH=docs $(BIN)/zensical build --clean

# Write what commands and programs print into the pages that show something else.
outputs: $(VENV)/test-ready
	-THENCE_UPDATE_DOCS=1 $(BIN)/python -m pytest -n 2 -q --tb=line tests/docs -k comes_out

# The tables of flags and settings in docs/reference, from the code.
reference: $(VENV)/test-ready
	$(BIN)/python docs/build_reference.py

# The tables of docs/benchmarks.md, from benchmarks/results.
benchmarks-page: $(VENV)/test-ready
	$(BIN)/python docs/build_benchmarks.py

# The .ipynb files of the repository, without output, from the .py files.
notebooks: $(VENV)/test-ready
	$(BIN)/python notebooks/build.py

# Build, check, and use the wheel in an environment of its own; nothing is published.
release: $(VENV)/test-ready
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python .ci/check_dist.py dist
	TORCH="$(TORCH)" .ci/try-wheel dist/*.whl $(BIN)/python

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "thence needs Python 3.11 or newer")'
	@echo "Installing into $(VENV): a minute or two the first time ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# The compiled core, after its C files were changed.
core:
	$(PYTHON) hatch_build.py

# Wheels for all platforms, with the compiler of the package ziglang (minutes).
wheels: $(VENV)/test-ready
	$(BIN)/python -m pip install --quiet 'ziglang>=0.13'
	for target in x86_64-linux aarch64-linux arm64-macos x86_64-macos x86_64-windows; do \
		THENCE_TARGET=$$target $(BIN)/python -m build --no-isolation --wheel --outdir dist || exit 1; \
	done

CORE := $(wildcard src/thence/_core/*.[ch]) hatch_build.py

$(VENV)/demo-ready: $(VENV)/bin/python pyproject.toml $(CORE)
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/test-ready: $(VENV)/demo-ready
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) site dist build .mypy_cache .ruff_cache .pytest_cache
