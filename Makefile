# Everything runs in .venv, which is made from requirements/dev.txt (versions and hashes locked) when a target first needs it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
ARGS ?=
# Another PostgreSQL for the tests: make test PG_BIN=/usr/lib/postgresql/15/bin
export PG_BIN

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/dev.txt pyproject.toml protos/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e protos -e .
	@touch $@

.PHONY: install
install: $(READY) ## Install what everything else needs into .venv

.PHONY: run
run: $(READY) ## Start the whole stack: PostgreSQL, services, HTTP edge, simulators (ARGS="-a 127.0.0.1:9090" for flags)
	@$(BIN)/galen up $(ARGS)

.PHONY: demo
demo: $(READY) ## Walk through the loyalty loop on the running stack, or on one that is started for it
	@$(BIN)/galen demo $(ARGS)

.PHONY: test test-unit test-integration test-e2e test-chaos
test: $(READY) ## Run all tests but the soak (ARGS="-k lots" narrows any of these)
	$(PYTEST) -n $(WORKERS) --ignore=tests/chaos $(ARGS)

test-unit: $(READY) ## Run the tests of rules and parts
	$(PYTEST) tests/*/unit tests/architecture $(ARGS)

test-integration: $(READY) ## Run the tests on real servers and a real PostgreSQL
	$(PYTEST) -n $(WORKERS) tests/*/integration tests/contract tests/stack tests/accrual_sim $(ARGS)

test-e2e: $(READY) ## Run the tests on the whole stack, as processes
	$(PYTEST) tests/e2e $(ARGS)

test-chaos: $(READY) ## Soak orders and payments in a provider's troubles and kills for SOAK_S seconds (default 300), then compare all books
	$(PYTEST) tests/chaos $(ARGS)

.PHONY: bench
bench: $(READY) ## Measure the ledger, orders and the stack's memory; writes docs/benchmarks.md (takes half an hour)
	$(BIN)/python -m tests.benchmarks $(ARGS)
	$(BIN)/python -m tests.benchmarks.memory

.PHONY: proto
proto: $(READY) ## Generate the Python code of the contracts and docs/errors.md
	$(BIN)/buf format --write protos --path protos/galen
	$(BIN)/python protos/generate.py

.PHONY: baseline
baseline: $(READY) ## At a release: make today's contracts the ones that may not be broken
	$(BIN)/python protos/generate.py --image protos/baseline.binpb

.PHONY: check
check: $(READY) ## Format, lint, types, layers, migrations, contracts, generated code and locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@rm -rf $(VENV)/migrations
	$(BIN)/python -m deploy.migration_sql $(VENV)/migrations
	$(BIN)/squawk '$(VENV)/migrations/*/*.sql'
	$(BIN)/buf format --diff --exit-code protos --path protos/galen
	$(BIN)/python protos/generate.py --image $(VENV)/contracts.binpb
	$(BIN)/buf lint $(VENV)/contracts.binpb --path galen
	$(BIN)/buf breaking $(VENV)/contracts.binpb --against protos/baseline.binpb --path galen
	$(BIN)/python protos/generate.py --check
	@for set in runtime dev; do cp requirements/$$set.txt $(VENV)/$$set.lock; done
	@$(MAKE) --no-print-directory lock LOCKS=$(VENV) SUFFIX=.lock
	@for set in runtime dev; do diff -q requirements/$$set.txt $(VENV)/$$set.lock || (echo "run make lock"; exit 1); done

LOCKS := requirements
SUFFIX := .txt
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" --no-annotate pyproject.toml
.PHONY: lock
lock: ## Lock the dependencies of pyproject.toml by version and hash
	@$(COMPILE) -o $(LOCKS)/runtime$(SUFFIX)
	@$(COMPILE) --extra dev -c $(LOCKS)/runtime$(SUFFIX) -o $(LOCKS)/dev$(SUFFIX)

.PHONY: clean
clean: ## Remove .venv, caches and the local stack's data
	rm -rf $(VENV) .galen .mypy_cache .ruff_cache .pytest_cache .hypothesis
