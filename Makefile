# Everything below sets itself up: Python 3.11 with pip, gcc and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo playground test test-slow lint format bench loadtest clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,load,gm]'
	touch $@

demo: $(STAMP)  ## import a real data set, serve it, resolve from it, and tell the story
	$(BIN)/hnode demo

playground: $(STAMP)  ## a whole hierarchy of nodes on loopback, to try things on, until Ctrl-C
	$(BIN)/hnode playground

test: $(STAMP) lint  ## ruff, mypy strict, pytest
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(STAMP)  ## the long campaigns: fuzzing, 50 rounds of kill -9
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## figures as ratios to a baseline of the same run; nothing here passes or fails
	$(BIN)/python -m loadtest.bench

loadtest: $(STAMP)  ## Locust, headless, against a node it starts itself on loopback
	$(BIN)/python -m loadtest.run

clean:
	rm -rf $(VENV) build dist
