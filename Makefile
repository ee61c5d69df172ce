# Nothing before them: `make train`, then `make report` to look at it; and `make test`.
#   make train  ARGS="configs/acrobot.yaml --seed 3"
#   make report ARGS="runs/cartpole runs/acrobot"
#   make test   ARGS="-m 'not slow'"

# Windows (make in Git Bash): Python itself and the folder of an environment's programs have other names there.
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := Scripts
EXE := .exe
else
PYTHON ?= python3
BIN := bin
EXE :=
endif
VENV := .venv
RUN := $(VENV)/$(BIN)/python$(EXE)
ARGS ?=
# Tests side by side, a process a core: BESIDE= runs them one after the other.
BESIDE ?= -n auto --maxprocesses 4 --dist worksteal

.PHONY: train report course test lint ruff types systems fast bench quality torture audit dist docs tutorial clean

train: $(VENV)/.train
	@$(RUN) -m pg_theano.train $(ARGS)
	@echo "a page to look at it: make report" >&2

# One page of the newest run, or of those that are named.
report: $(VENV)/.train
	@$(RUN) -m pg_theano.report $(ARGS)

# Exercises that check themselves: make course ARGS="start 1", then ARGS="check 1".
course: $(VENV)/.train
	@$(RUN) -m pg_theano.course $(ARGS)

test: lint
	@$(RUN) -m pytest $(BESIDE) $(ARGS)

fast: $(VENV)/.test
	@$(RUN) -m pytest $(BESIDE) -m "not slow" $(ARGS)

lint: ruff types

ruff: $(VENV)/.test
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

types: $(VENV)/.test
	@$(RUN) -m mypy

# The same types as on the systems that this one is not.
systems: $(VENV)/.test
	@$(RUN) -m mypy --platform win32
	@$(RUN) -m mypy --platform darwin

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $$($(PYTHON) --version 2>&1 || echo no $(PYTHON)); pg_theano needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv module; install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml setup.py | $(RUN)
	@echo "installing pg_theano and what it needs (once; about 250 MB to download, one to two minutes)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: pyproject.toml setup.py | $(RUN)
	@echo "installing pg_theano with what its tests need"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@ $(VENV)/.train

BENCH := .venv-bench

bench: $(VENV)/.train $(BENCH)/.bench
	@$(RUN) benchmarks/learning.py
	@$(RUN) benchmarks/time_to_solve.py $(ARGS)
	@$(RUN) benchmarks/populations.py $(ARGS)
	@$(RUN) benchmarks/throughput.py $(ARGS)
	@$(RUN) benchmarks/agents.py
	@$(RUN) benchmarks/limit.py $(ARGS)
	@$(RUN) benchmarks/growth.py $(ARGS)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[mujoco]"
	@$(RUN) benchmarks/hopper.py $(ARGS)
	@$(RUN) benchmarks/report.py

# PPO on seven tasks against the tuned reference: hours; finished cells are skipped.
quality: $(VENV)/.train
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[box2d,mujoco]"
	@$(RUN) benchmarks/quality.py $(ARGS)

# Every promise of reliability, held to its figure: hours; finished cells are skipped.
torture: $(VENV)/.test
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[test,torture,box2d]"
	@$(RUN) benchmarks/torture $(ARGS)

# What is installed against the advisories of PyPI.
audit: $(VENV)/.test
	@$(RUN) -m pip install --quiet --disable-pip-version-check pip-audit
	@$(RUN) -m pip_audit --local --skip-editable --progress-spinner off $(ARGS)

# The wheel and the sdist, into dist; and the wheel in a fresh environment of each Python that is found.
dist: $(VENV)/.train
	@$(RUN) -m pip install --quiet --disable-pip-version-check build twine
	@$(RUN) benchmarks/dist.py $(ARGS)

# The site, into docs/_build; a warning is an error.
docs: $(VENV)/.train
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	@$(RUN) -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "docs/_build/index.html"

# Run the tutorial anew, and keep what it shows: the notebook is a page of the site.
tutorial: $(VENV)/.test
	@rm -rf build/tutorial && mkdir -p build/tutorial && cp docs/tutorial.ipynb build/tutorial
	@cd build/tutorial && ../../$(RUN) -m pytest -q -p no:cacheprovider --nbmake --overwrite tutorial.ipynb
	@cp build/tutorial/tutorial.ipynb docs/tutorial.ipynb

$(BENCH)/.bench: benchmarks/requirements.txt | $(RUN)
	@echo "installing the peers into $(BENCH) (once; about 2 GB on disk)"
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/$(BIN)/python$(EXE) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) build dist docs/_build docs/generated *.egg-info
