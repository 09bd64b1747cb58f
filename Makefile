# `make demo` and `make test` do all the set-up on a machine with Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench golden figures clean

# Runs the quickstart over four algorithms and two node counts; ends with the answer.
demo: $(READY)
	$(BIN)/paceline sweep quickstart --nodes 2,4 \
	    --grid algorithm.kind=sync-sgd,layered-sgd,dc-s3gd,async-ps -o demo
	$(BIN)/paceline compare demo -o demo

test: check
	$(BIN)/python -m pytest

# Lint, formatting and types.
check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m pytest tests/benchmarks -m benchmark -s --benchmark-columns=min,mean,rounds

# Rewrites the golden tables; say [NUMBERS] in CHANGELOG and raise MODEL_VERSION.
golden: $(READY)
	$(BIN)/python -m pytest tests/test_golden.py --update-golden

# Redraws the pictures in docs/.
figures: $(READY)
	$(BIN)/paceline sweep quickstart --nodes 2,4 \
	    --grid algorithm.kind=sync-sgd,layered-sgd,dc-s3gd,async-ps -o demo -q
	$(BIN)/paceline plot demo --kind accuracy --kind timeline -o docs/figures
	$(BIN)/paceline sweep shared-spine -S stop.steps=40 --grid algorithm.kind=sync-sgd,layered-sgd,async-ps -o demo/spine -q
	$(BIN)/paceline plot demo/spine --kind links -o docs/figures
	$(BIN)/paceline sweep spot-preemption --grid failures.on_loss=wait,shrink -S algorithm.kind=sync-sgd -o demo/spot -q
	$(BIN)/paceline plot demo/spot --by failures.on_loss --kind outages -o docs/figures
	$(BIN)/python -m tests.timelines

clean:
	rm -rf $(VENV) demo out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@
