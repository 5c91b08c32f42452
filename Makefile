# One entry for people and for CI. Python 3.11 or newer and make are all that is assumed.
#
#   make test ARGS="-k pacing -x"       ARGS goes to pytest as it is
#   make run ARGS="--port 8081"         ... or to the demo
#   make PYTHON=python3.12 test         PYTHON makes the environment; without it, python3 does

PYTHON ?= python3
ARGS ?=
PART ?=
SEED ?=
HOURS ?=
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
DIST_READY := $(VENV)/.dist-ready

.DEFAULT_GOAL := help
.PHONY: help run run-kafka run-replicas kafka test prove soak coverage lint bench dist clean chart docs same-python

help:  ## Say what there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(RUN_READY)  ## Serve on embedded defaults and show one order on its way (or the real shop, see README.md).
	@$(BIN)/attribution-bridge demo $(ARGS)

run-kafka: $(READY)  ## Show a topic of orders on its way, the broker killed meanwhile, and account for every order.
	@$(BIN)/python -m tests.kafka.show

run-replicas: $(READY)  ## Show three replicas over Postgres, one killed and one frozen meanwhile, and account for every order.
	@$(BIN)/python -m tests.walks.show_replicas

kafka: $(READY)  ## Serve a real Kafka broker at 127.0.0.1:9092 until Ctrl-C (Java and Maven are needed).
	@$(BIN)/python -m tests.kafka.broker

test: $(READY)  ## Run all tests, or those that ARGS="..." names (the options of pytest).
	@$(BIN)/pytest -q $(ARGS)

prove: $(READY)  ## Try the promise on drawn seeds: two minutes of each part, or HOURS=1; PART=world SEED=7 repeats one.
	@$(BIN)/python -m tests.prove --part "$(PART)" --seed "$(SEED)" --hours "$(HOURS)"

soak: $(READY)  ## Do everything at once over both journals, and say what grew: two minutes, or HOURS=1.
	@$(BIN)/python -m tests.soak --hours "$(HOURS)"

coverage: $(READY)  ## Run tests as `test` does, and say which lines and branches they left out, the least covered file first.
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q $(ARGS); tests=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report | cut -c 1-150; exit $$tests

lint: $(READY)  ## Check style, types and who may import whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chart: $(READY)  ## Make the chart's schema, README and snapshot anew.
	@$(BIN)/python -m tests.chart.generated

docs: $(READY)  ## Make the pages of settings, log events, metrics and files anew, and bridge.schema.json.
	@$(BIN)/python -m tests.docs.generated

bench: $(BENCH_READY)  ## Measure, beside bare programs in the same run.
	@$(BIN)/python -m tests.bench

dist: $(DIST_READY)  ## Build wheel and sdist into dist/, and take an order through the wheel on each Python that is found.
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@$(BIN)/python -m tests.dist dist

clean:  ## Remove the environment and caches, never the journal in ./var.
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# An environment that works is kept, whatever `python3` is by now: two Pythons in one folder would be neither.
$(RUN_READY): pyproject.toml | same-python
	@echo "installing the bridge and what it runs on into $(VENV) (once, some seconds)"
	@$(BIN)/python -c '' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }; \
	  $(PYTHON) -m venv --clear $(VENV); }
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

$(DIST_READY): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dist
	@touch $@

# Whoever names a Python gets that one, or is told that the environment has another one.
same-python:
ifneq ($(origin PYTHON),file)
	@[ ! -x $(BIN)/python ] || { \
	  version='import sys; print("%d.%d" % sys.version_info[:2])'; \
	  asked=$$($(PYTHON) -c "$$version") || { echo "there is no $(PYTHON)"; exit 1; }; \
	  there=$$($(BIN)/python -c "$$version"); \
	  [ "$$asked" = "$$there" ] \
	    || { echo "$(VENV) was made with Python $$there, not with $(PYTHON) ($$asked): make clean first, or leave PYTHON out"; exit 1; }; }
endif
