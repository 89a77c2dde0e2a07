# Everything a user or a developer runs. `make run` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTENSIONS := $(VENV)/.built
SECONDS ?= 60

.PHONY: run test lint bench fuzz build clean

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

$(EXTENSIONS): $(STAMP) setup.py $(wildcard cext/*.pyx cext/*.pxd cext/*.h schemas/*.proto)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

build: $(EXTENSIONS)
