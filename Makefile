# What people and CI type. All paths are relative and quoted: the folder's name may hold spaces.
# `make demo` and `make test` need Python 3.11+, git and make; they build .venv from the locked set, by hash.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test test-real check lint types floors rows proof soak replay bench lock clean

# Hundreds of processes of a test run load what is compiled once.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
ARGS ?=
HISTORIES ?= 100000
PY := .venv/bin/python
# Several tests at once, for most of them wait; how many says tests/conftest.py.
PYTEST := $(PY) -m pytest --numprocesses=auto --dist=loadscope --no-loadscope-reorder
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
LOCK := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --extra build

# A .venv that was moved, copied, half built or whose Python is gone is built again.
ifneq ($(wildcard .venv/*.stamp),)
$(shell [ "$$(cat .venv/folder 2>/dev/null)" = "$$(pwd)" ] && .venv/bin/python -c '' 2>/dev/null || rm -f .venv/*.stamp)
endif

help:
	@echo "make demo        the main job on a stand-in GitHub, in under a minute   (ARGS=--keep, --serve, ...)"
	@echo "make test        every test that needs nothing but Python packages      (ARGS='-k word', ARGS=-n0: one by one)"
	@echo "make test-real   the tests on the real agent CLIs, installed by npm into .real"
	@echo "make check       lint, types, floors and tests"
	@echo "make rows        the promises of docs/requirements.tsv that no test carries   (ARGS='--part 2')"
	@echo "make bench       what it all costs, beside baselines in the same run   (ARGS='--only store.py,status.py')"
	@echo "make proof       100,000 random histories, 1,000 races, a death at every single write, 200 jobs at once   (HISTORIES=...)"
	@echo "make replay      one random history again, step by step   (SEED=12345)"
	@echo "make lock        resolve the dependencies anew      make clean   remove what make made"

demo: .venv/package.stamp
	@echo "==> demo: six labelled issues on a stand-in GitHub"
	@.venv/bin/coordinator rehearse $(ARGS)

test: .venv/dev.stamp
	@echo "==> tests: all but tests/real"
	@$(PYTEST) $(ARGS)

test-real: .venv/dev.stamp
	@command -v npm >/dev/null || [ "$$(id -u)" != 0 ] || { \
	    echo "==> test-real: installing nodejs and npm from the distribution"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null; }
	@if command -v npm >/dev/null; then \
	    $(MAKE) --no-print-directory .real/parts.stamp && \
	    echo "==> test-real: tests on the real CLIs" && $(PYTEST) tests/real $(ARGS); \
	else \
	    echo "==> test-real: skipped, npm is missing; install it with: sudo apt install nodejs npm"; \
	fi

check: lint types floors test

lint: .venv/dev.stamp
	@echo "==> lint: ruff"
	@$(PY) -m ruff check --quiet --output-format=concise .

types: .venv/dev.stamp
	@echo "==> types: mypy --strict"
	@$(PY) -m mypy

floors: .venv/dev.stamp
	@echo "==> floors: who may import whom"
	@$(PY) -m pytest --quiet tests/architecture

rows:
	@"$(PYTHON)" tests/rows.py $(ARGS)

proof soak: .venv/dev.stamp
	@echo "==> proof: $(HISTORIES) random histories, 1,000 races, a death at every single write of every kind of life; some hours"
	@COORDINATOR_HISTORIES=$(HISTORIES) COORDINATOR_RACES=1000 COORDINATOR_SOAK=1 $(PY) -m tests.proof $(ARGS)

replay: .venv/dev.stamp
	@$(PY) -m tests.simulate $(SEED)

bench: .venv/dev.stamp
	@echo "==> bench: every figure of docs/benchmarks.md beside its baseline, written there; most of an hour"
	@$(PY) bench/report.py $(ARGS)

lock: .venv/dev.stamp
	@echo "==> lock: resolving for Python 3.11 and newer"
	@$(LOCK) --upgrade --output-file requirements.txt pyproject.toml >/dev/null
	@$(LOCK) --upgrade --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml >/dev/null

clean:
	@echo "==> clean: removing .venv, .real and caches"
	@rm -rf .venv .real .mypy_cache .ruff_cache .pytest_cache .hypothesis build coordinator.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/runtime.stamp: requirements.txt
	@python=""; for one in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	    "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && python="$$one" && break; done; \
	if [ -z "$$python" ]; then \
	    echo "error: Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "error: this Python has no venv module; install it with: apt install python3-venv" >&2; exit 1; fi; \
	echo "==> .venv: made with $$("$$python" --version)"; \
	rm -rf .venv && "$$python" -m venv .venv
	@echo "==> .venv: installing the locked packages"
	@$(PIP) --require-hashes -r requirements.txt
	@pwd > .venv/folder
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/package.stamp
	@if [ -e $@ ] && [ requirements-dev.txt -nt $@ ]; then \
	    rm -rf .venv; $(MAKE) --no-print-directory .venv/package.stamp; fi
	@echo "==> .venv: installing the locked tools for tests and checks"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

.venv/package.stamp: pyproject.toml .venv/runtime.stamp
	@echo "==> .venv: installing this checkout"
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.real/parts.stamp: tests/real/package.json tests/real/package-lock.json
	@echo "==> .real: installing the real CLIs and GitHub's own descriptions by npm, some 800 MB"
	@mkdir -p .real && cp tests/real/package.json tests/real/package-lock.json .real/
	@cd .real && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
