# `make run` and `make test` do all the set-up that they need; a second call does not install again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEARCHES := benchmarks/overhead.py benchmarks/efficiency.py benchmarks/asha.py benchmarks/scale.py
FAULTS := tests/faults tests/search/test_faults.py tests/search/test_carry_on.py tests/search/test_cluster.py
EVIDENCE := benchmarks/evidence.py benchmarks/drift.py benchmarks/frank.py benchmarks/elsewhere.py
ASKED := benchmarks/ablation.py benchmarks/resnet.py  # one needs runs to be named, one packages of its own

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help search run test test-slow soak faults lint audit bench bench-search bench-evidence bench-peer clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 22

search: $(VENV)/.installed-search  ## one search on simulated data: trials, proof, leaderboard, best runs
	$(BIN)/python run_search.py --space ttt_mode

run: $(VENV)/.installed  ## one run on simulated data: training, evaluation card, figure, result folder
	$(BIN)/python main.py

test: $(VENV)/.installed-dev  ## the tests, but for the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed-dev  ## the slow tests
	$(BIN)/python -m pytest -m slow

soak: $(VENV)/.installed-dev  ## 500 trivial trials: memory and open files of the driver stay as they are
	$(BIN)/python -m tests.faults.soak

faults: $(VENV)/.installed-dev  ## injects faults, a quarter of an hour, and writes the table tests/faults/README.md
	rm -f .faults.jsonl
	ECGGEN_FAULTS=$(CURDIR)/.faults.jsonl $(BIN)/python -m pytest $(FAULTS)
	$(BIN)/python -m tests.faults.table .faults.jsonl

lint: $(VENV)/.installed-dev  ## layout, style and types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary

audit: $(VENV)/audit/.installed  ## known vulnerabilities of the pinned packages; a word where their index is out of reach
	@if [ -x $(VENV)/audit/bin/pip-audit ]; then $(BIN)/python .ci/audit.py $(VENV)/audit/bin/pip-audit constraints.txt; \
		else echo "audit: skipped, pip-audit could not be installed"; fi

bench: $(VENV)/.installed-bench  ## the tables of benchmarks/, but for the two kinds below
	@for script in $(filter-out $(SEARCHES) $(EVIDENCE) $(ASKED),$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

bench-search: $(VENV)/.installed-search  ## what a search costs, what ASHA saves; half an hour on two free cores
	@for script in $(SEARCHES); do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

bench-evidence: $(VENV)/.installed  ## what the runs of results/ show: full cards, drift, Frank leads, other data
	@for script in $(EVIDENCE); do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

bench-peer: $(VENV)/peer/.installed  ## a training step beside torch_ecg's, in an environment of its own
	@PYTHONPATH=. $(VENV)/peer/bin/python benchmarks/resnet.py

clean:  ## removes the environment and all caches; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is touched once its packages are in; it is older than a changed list of packages.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-search: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[search]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,dev,search,dashboard]"
	@touch $@ $(VENV)/.installed $(VENV)/.installed-search

$(VENV)/.installed-bench: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	@touch $@ $(VENV)/.installed

# In an environment of its own: what looks at the packages is not one of them. A failed installation is tried again.
$(VENV)/audit/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet -c constraints.txt pip-audit && touch $@ || true

# So has the peer that a training step is measured beside: it wants thirty packages, some of other releases.
$(VENV)/peer/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/peer
	$(VENV)/peer/bin/python -m pip install --quiet -c constraints.txt -e .
	$(VENV)/peer/bin/python -m pip install --quiet $$(grep '^torch-ecg==' constraints.txt)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python: expected 3.11 or newer, got $$($(PYTHON) --version 2>&1); call make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
