# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check benchmarks clean

demo: $(VENV)/run.ready
	$(BIN)/semihand demo

test: $(VENV)/test.ready
	$(BIN)/python -m pytest

# Lint, format and types.
check: $(VENV)/check.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy models kinematics outputs errors.py text.py __init__.py

# The figures of BENCHMARKS.md and README.md: make benchmarks ARGS="--only tracking --mediapipe-task FILE"
benchmarks: $(VENV)/test.ready
	$(BIN)/python tools/benchmarks.py $(ARGS)

$(VENV)/pip.ready:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	touch $@

$(VENV)/run.ready: $(VENV)/pip.ready pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[synth]"
	touch $@

$(VENV)/test.ready: $(VENV)/pip.ready pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,test]"
	touch $@

$(VENV)/check.ready: $(VENV)/pip.ready pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[check]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
