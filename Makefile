# `make book` makes everything from a bare clone; `make help` lists the rest.

PROFILE ?= quick
PROFILES := $(sort $(basename $(notdir $(wildcard study/profiles/*.yml))))
ifeq ($(filter $(PROFILE),$(PROFILES)),)
$(error unknown profile '$(PROFILE)' (known: $(PROFILES)))
endif

SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
HTML := build/_build/html/index.html

# The first Python that is new enough; PYTHON=/path/to/python3 overrides the search.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11, 4))
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$name -c "$(NEW_ENOUGH)" 2>/dev/null && { echo $$name; break; }; done)
endif

.PHONY: help book pdf release test test-all lint lab bench audit clean unlock

help:
	@echo "make book   the whole book from scratch: environment, training, notebooks, HTML (PROFILE=$(PROFILE))"
	@echo "            PROFILE is one of $(PROFILES)"
	@echo "make pdf    the same book as one file to print, with Chromium or Chrome"
	@echo "make release  book and PDF as archives with checksums, in build/release, and a tag for the commit"
	@echo "make lab    JupyterLab, to explore the notebooks"
	@echo "make test   lint, types and unit tests: 8 minutes on two cores"
	@echo "make test-all  those, then kills and faults, the workflow, notebooks and book, a cluster, packages: 35 minutes"
	@echo "make bench  measure speed and deadlines on this machine, into build/benchmarks"
	@echo "make lint   ruff, mypy, nbstripout"
	@echo "make audit  look the pinned packages up among known vulnerabilities, over the network"
	@echo "make clean  delete what was made (runs, figures, book), keep the environment and the data"
	@echo "make unlock after a power cut, when Snakemake says that the folder is locked"

book: $(VENV)/.installed
	@$(BIN)/snakemake --workflow-profile workflow/profiles/local --config profile=$(PROFILE) || { \
		[ -z "$$(ls .snakemake/locks 2>/dev/null)" ] || echo "If no other make is at work here: make unlock"; exit 1; }
	@echo
	@echo "The book: $(HTML)"
	@$(BIN)/python -c "from pathlib import Path; print('Open it:', Path('$(HTML)').absolute().as_uri())"

export CHROMIUM ?= $(firstword $(foreach name,chromium chromium-browser google-chrome google-chrome-stable, \
	$(shell command -v $(name))))
pdf: $(VENV)/.installed
	@command -v "$(CHROMIUM)" >/dev/null || { echo "make pdf prints with Chromium or Chrome; there is none here. Install one" \
		"(apt install chromium), or name it: make pdf CHROMIUM=/path/to/chrome" >&2; exit 1; }
	@$(BIN)/snakemake --workflow-profile workflow/profiles/local --config profile=$(PROFILE) -- pdf
	@echo "The book, to print: build/agm.pdf"

release: $(VENV)/.installed
	@$(BIN)/python workflow/release.py --check
	@$(MAKE) --no-print-directory pdf
	@$(BIN)/python workflow/release.py

# In as many processes as there are cores; each computes in one thread.
test: lint
	$(BIN)/pytest -n logical --maxprocesses 8 tests/unit

# A kill, a full disk or a browser in each: one after the other.
test-all: test
	$(BIN)/pytest tests/process tests/book tests/cluster tests/release

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify notebooks/*.ipynb

lab: $(VENV)/.installed
	$(BIN)/jupyter lab --ip=127.0.0.1 --notebook-dir=notebooks

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.inference --out build/benchmarks/inference.json
	$(BIN)/python -m benchmarks.turns --out build/benchmarks/turns.json
	$(BIN)/python -m benchmarks.deadlines --calls 500 --out build/benchmarks/deadlines.json
	$(BIN)/python -m benchmarks.runtimes --out build/benchmarks/runtimes.json
	$(BIN)/python -m benchmarks.upscale --megapixels 1 12 --out build/benchmarks/upscale.json
	@echo "notebooks/anytime.ipynb shows all of this with own = True"

# `AUDIT=--osv-url=...` asks another service of that kind. Its answer comes on stdout, the rest of what it says is told in
# one line: without a network that is a traceback.
audit: $(VENV)/.installed
	@mkdir -p build/logs
	@$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --vulnerability-service osv \
		--progress-spinner off $(AUDIT) 2> build/logs/audit.log || { tail -n 1 build/logs/audit.log >&2; exit 1; }
	@tail -n 1 build/logs/audit.log

clean:
	rm -rf build book/notebooks book/figures book/_static/try_packed .snakemake .mypy_cache .pytest_cache .ruff_cache .hypothesis

unlock: $(VENV)/.installed
	$(BIN)/snakemake --workflow-profile workflow/profiles/local --unlock

INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off

# The environment is made again only when what is to be in it has changed. What the lock names is checked by its hash.
# Torch is not in it, nor the CUDA libraries it may bring: which of its wheels is right, platform and index decide.
$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock
	@if [ -z "$(PYTHON)" ]; then \
		echo "agm needs Python 3.11.4 or newer; python3 here is $$(python3 --version 2>&1)." >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@$(PYTHON) -c "$(NEW_ENOUGH)" || { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); agm needs 3.11.4 or newer." >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing about 260 packages, 2 GB, into $(VENV): this takes minutes, once."
	@set -o pipefail; { $(INSTALL) --require-hashes --no-deps -r requirements.lock && \
		$(INSTALL) --no-build-isolation -e '.[book,test]' -c constraints.txt; } | \
		awk '/^Collecting/ {printf "  %3d  %s\n", ++n, $$2; fflush()} \
		/^Installing collected/ {print "  unpacking them"; fflush()}'
	@touch $@
