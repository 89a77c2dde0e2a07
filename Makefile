# Everything a user or a developer runs. `make run` and `make test` set up what they need:
# Python 3.11 to 3.13 with venv, a C compiler and make are all that has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
EXTENSIONS := $(VENV)/.built
SOURCES := setup.py pyproject.toml $(wildcard $(addprefix cext/,*.pyx *.pxd *.pxi *.h */*.pyx */*.pxd) schemas/*.proto)
PACKAGE := $(shell find -L mevstream -name '*.py' -not -name '*_pb2.py')

# make run: how long a chain is simulated, from which seed, and where everything is put.
DEMO ?= build/demo
SLOTS ?= 200
SEED ?= 7
# make chaos: for how long, and with which guarantee (or exactly-once).
MINUTES ?= 20
DELIVERY ?= at-least-once
# make test: how many processes run the tests, each with a broker of its own.
JOBS ?= 3
# make fuzz: how long it runs, in seconds.
SECONDS ?= 60
# SANITIZE=0 fuzzes the ordinary build: for a compiler that has no sanitizers.
SANITIZE ?= 1
SANITIZED := $(if $(filter 1,$(SANITIZE)),build/sanitized/.built)
FUZZ := $(BIN)/python tests/fuzz $(if $(SANITIZED),--build build/sanitized)

.DEFAULT_GOAL := help
.PHONY: help run test lint bench chaos fuzz build lock clean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*##(.*)$$/  make \1 \t\2/p' Makefile | expand -t 16

run: build  ## build, stream a simulated chain through the pipeline, show what came out
	@rm -rf $(DEMO)
	$(BIN)/mevstream simulate $(DEMO)/chain --slots $(SLOTS) --seed $(SEED)
	$(BIN)/mevstream run $(DEMO)/chain --data $(DEMO)/warm

test: build $(SANITIZED)  ## all tests, then a short fuzz round with a fixed seed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile
	$(FUZZ) --seed 1 --seconds 45 --executions 100000

lint: build  ## ruff (rules and format) and pyright
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: build  ## benchmarks against the rivals, one core
	$(BIN)/python -m benchmarks

chaos: build  ## faults on a Kafka of its own, and a count: make chaos MINUTES=20 DELIVERY=exactly-once
	$(BIN)/python tests/faults --minutes $(MINUTES) --delivery $(DELIVERY)

fuzz: build $(SANITIZED)  ## fuzz under sanitizers: make fuzz SECONDS=1800
	$(FUZZ) --leaks --seconds $(SECONDS)

build: $(EXTENSIONS)  ## the environment and the compiled extensions

lock:  ## resolve pyproject.toml's dependencies anew into requirements.lock
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	$(PYTHON) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	extras = sum(p["project"]["optional-dependencies"].values(), []); \
	print(*p["build-system"]["requires"], *p["project"]["dependencies"], \
	*(r for r in extras if not r.startswith("mevstream[")), sep="\n")' > build/lock/requirements.in
	build/lock/bin/pip install --quiet --upgrade pip
	build/lock/bin/pip install --quiet --upgrade -r build/lock/requirements.in
	build/lock/bin/pip freeze --all --exclude pip > requirements.lock

clean:  ## everything that was built (not the data that was streamed)
	rm -rf $(VENV) build dist *.egg-info cext/*.so cext/*/*.so schemas/*_pb2.py schemas/*_pb2.pyi
	rm -rf .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements.lock
	@touch $@

$(EXTENSIONS): $(STAMP) $(SOURCES)
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

# A second, instrumented copy of the package beside the ordinary one.
build/sanitized/.built: $(EXTENSIONS) $(PACKAGE)
	MEVSTREAM_SANITIZE=1 $(BIN)/python setup.py --quiet build --build-lib build/sanitized \
		--build-temp build/sanitized-objects
	@touch $@
