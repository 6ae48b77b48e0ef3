# headstart: `make demo` shows it, `make test` checks it. Needs Python ≥ 3.11, pip and the package registries.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow lint bench clean system-packages

# torch first and exactly: asked for by another package, pip would take the newest CUDA build.
.venv/torch: constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	touch $@

.venv/all: .venv/torch pyproject.toml
	$(PIP) -e '.[all]'
	touch $@

.venv/dev: .venv/all
	$(PIP) -e '.[all,dev]'
	touch $@

demo: .venv/all
	$(BIN)/headstart demo --out demo

lint: .venv/dev
	$(BIN)/ruff check src tests benchmarks recipes
	$(BIN)/ruff format --check src tests benchmarks recipes
	$(BIN)/mypy
	$(BIN)/lint-imports

# nginx and Chromium from Debian where they may be installed; tests skip, and say why, without them.
system-packages:
	@sh tests/system_packages.sh

test: lint system-packages
	$(BIN)/python -m pytest -q --doctest-modules src
	$(BIN)/python -m pytest -q -m "not slow" tests

test-slow: .venv/dev system-packages
	$(BIN)/python -m pytest -q -m slow tests

bench: .venv/dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv .envs demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
