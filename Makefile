# Counterfoil's tasks. `make` alone lists them. All that is needed beforehand is Python 3.11 or later, and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
# Where this is set, every process a test starts compiles all that it imports: a second instead of a third of one.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
PY := .venv/bin/python
LOCKS := requirements/development.txt
# What .venv was made from: this folder, this Python, these locks. The stamp of anything else is not found.
READY := .venv/.ready-$(shell { pwd; $(PYTHON) -V; cat $(LOCKS) pyproject.toml; } 2>&1 | cksum | cut -d ' ' -f 1)

.PHONY: help setup demo test lint fix bench chaos soak load engines docs dist lock clean

help: ## list the tasks
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | while IFS=$$'\t' read -r task what; do \
		printf '  make %-8s %s\n' "$$task" "$$what"; done

setup: $(READY) ## make .venv with .venv/bin/counterfoil (quick when nothing changed)

demo: setup ## publish sample data, serve it, fetch it back through both APIs, and prove it
	@.venv/bin/counterfoil demo

test: setup lint ## check style and types, then run the tests on all cores (ARGS='tests/wire -k token -n 0')
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup ## check style and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy --num-workers auto

fix: setup ## mend what can be mended without thinking
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

bench: setup ## measure against the floors in docs/performance.md
	$(PY) -m bench $(ARGS)

chaos: setup ## kill, stop and starve publications and servers, many times over (long)
	$(PY) -m pytest -m chaos --timeout=3600 $(ARGS)

soak: setup ## 200,000 line items of each kind, thousands of flipped bits, mixtures of faults, and strange requests (long)
	$(PY) -m pytest -m soak --timeout=3600 $(ARGS)

engines: setup ## test the catalog on a real PostgreSQL, which is installed from Debian's packages where it is missing
	tools/engines.sh
	$(PY) -m pytest -m engines --timeout=600 $(ARGS)

load: setup ## hundreds of hostile callers for five minutes beside another partner (FOR=60 for one minute)
	$(if $(FOR),FOR=$(FOR)) $(PY) -m pytest -m load --timeout=3600 $(ARGS)

docs: setup ## write again the parts of docs/ that are made from the code
	$(PY) -m tools.write_docs

dist: setup ## build the wheel and try it in an environment of its own, with and without the server
	tools/try-wheel.sh

lock: ## compile requirements/*.txt again (UPGRADE=--upgrade for newer versions)
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet uv==0.13.9
	tools/lock.sh $(UPGRADE)

clean: ## remove all that make made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(READY):
	@[ -n "$(PYTHON)" ] || { echo "Counterfoil needs Python 3.11 or later, and finds none." >&2; exit 1; }
	@# Scripts in an environment name its folder: one that was moved or copied is made anew.
	@if [ -e .venv ] && ! { $(PY) -c '' && [ "$$(cat .venv/.home 2>/dev/null || pwd)" = "$$(pwd)" ]; }; then rm -rf .venv; fi
	@[ -e .venv ] || { echo "Making .venv ..."; $(PYTHON) -m venv .venv || { \
		echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }; }
	@pwd > .venv/.home
	@echo "Installing what requirements/ lists; a minute or two the first time ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary :all: -r requirements/development.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f .venv/.ready-*
	@touch $@
	@echo "Ready: .venv/bin/counterfoil"
