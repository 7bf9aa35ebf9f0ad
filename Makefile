# Every target works in a fresh clone: what it needs is installed into .venv first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV_STAMP := .venv/.dev
JOBS ?= 6

.PHONY: help install dev demo up test lint bench attack cluster cluster-faults screenshots lock clean
.DEFAULT_GOAL := help

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(STAMP)  ## make .venv with what the service needs (again only after the lock changed)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "This Python lacks its venv module: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

dev: $(DEV_STAMP)  ## add what tests, lint and benchmarks need

$(DEV_STAMP): $(STAMP) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

demo: install  ## every village of Kaltim over a simulated network (PORT=8000, ARGS=...)
	@$(if $(PORT),SINYAL_PORT=$(PORT)) $(BIN)/sinyal demo $(ARGS)

up: install  ## the service (PORT=8000, ARGS=...)
	@$(if $(PORT),SINYAL_PORT=$(PORT)) $(BIN)/sinyal up $(ARGS)

test: dev  ## all tests, six processes side by side (ARGS=tests/postgres/test_backup.py)
	@$(BIN)/pytest -n $(JOBS) $(ARGS)

lint: dev  ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: dev  ## measure the echo engine and the stores (ARGS=...)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

attack: dev  ## requests that must not stop the service, thirty at once, at a demo (ARGS=import_bombs)
	@$(BIN)/python -m tests.attack $(ARGS)

cluster: dev  ## three databases, two machines of the service and three probers, on this machine (SITES=2000)
	@$(BIN)/python -m tests.cluster $(ARGS)

cluster-faults: dev  ## break that cluster in every way, under load, and count what was lost (SITES=2000 ARGS=primary)
	@$(BIN)/python -m tests.cluster faults $(ARGS)

screenshots: dev  ## every page, on a desktop and on a phone, from a demo, into var/screenshots (ARGS="/console /layar")
	@$(BIN)/python -m tests.screenshots $(ARGS)

LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock:  ## renew both locks from pyproject.toml (needs uv)
	$(LOCK) --group build -o requirements.lock
	$(LOCK) --group dev --constraints requirements.lock -o requirements-dev.lock

clean:  ## remove .venv and caches; the data in var/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
