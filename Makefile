# One entry for people and for CI. Python 3.11 or newer and make are all that is assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready

.DEFAULT_GOAL := help
.PHONY: help run run-kafka run-replicas kafka test lint bench clean chart

help:  ## Say what there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(RUN_READY)  ## Serve on embedded defaults and show one order on its way (or the real shop, see README.md).
	@$(BIN)/attribution-bridge demo

run-kafka: $(READY)  ## Show a topic of orders on its way, the broker killed meanwhile, and account for every order.
	@$(BIN)/python -m tests.kafka.show

run-replicas: $(READY)  ## Show three replicas over Postgres, one killed and one frozen meanwhile, and account for every order.
	@$(BIN)/python -m tests.walks.show_replicas

kafka: $(READY)  ## Serve a real Kafka broker at 127.0.0.1:9092 until Ctrl-C (Java and Maven are needed).
	@$(BIN)/python -m tests.kafka.broker

test: $(READY)  ## Run all tests.
	@$(BIN)/pytest -q

lint: $(READY)  ## Check style, types and who may import whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chart: $(READY)  ## Make the chart's schema, README and snapshot anew.
	@$(BIN)/python -m tests.chart.generating

bench: $(BENCH_READY)  ## Measure, beside bare programs in the same run.
	@$(BIN)/python -m tests.bench

clean:  ## Remove the environment and caches, never the journal in ./var.
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(RUN_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@echo "installing the bridge and what it runs on into $(VENV) (once, some seconds)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(READY): $(RUN_READY) pyproject.toml
	@echo "installing what tests and checks need into $(VENV) (once, half a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

$(BENCH_READY): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@
