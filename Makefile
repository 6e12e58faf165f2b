# Everything a contributor runs. `make` alone prints this list.

SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.installed
SAMPLE := samples/code_census
ROOMS := engine stores executors stepwell testing cli
# The folders outside the rooms that hold Python.
OTHERS = $(foreach folder,tests tools samples benchmarks,$(if $(shell find $(folder) -name '*.py' 2>/dev/null),$(folder)))

# The Python that makes .venv, anew if another one made it; empty means the one that did, or the
# first of these that is 3.11 or newer.
PYTHON ?=
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14
# Test workers: a number, or auto for one per core. 0 runs the tests in one process.
WORKERS ?= auto
# Further arguments for pytest: make test ARGS="-k lease -x"
ARGS ?=

DEMO_HOME := .stepwell
DEMO = $(BIN)/stepwell --home $(DEMO_HOME) run code_census && \
	$(BIN)/python -m code_census summary --home $(DEMO_HOME)
BENCH := $(BIN)/python -m benchmarks
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | \
	while IFS='|' read -r target text; do printf '%-19s %s\n' "$$target" "$$text"; done

.PHONY: setup
setup: $(STAMP) ## make .venv from the lock, install Stepwell editable, link the rooms
	@$(BIN)/python tools/link.py

# What tells one Python from another: its version, and where it is installed.
WHICH := import sys, ensurepip; print(sys.version, sys.base_prefix, sys.version_info >= (3, 11))
which = $(shell "$(1)" -c '$(WHICH)' 2>/dev/null)
ifneq ($(PYTHON),)
ifneq ($(call which,$(PYTHON)),$(call which,$(BIN)/python))
$(STAMP): other-python
endif
endif

.PHONY: other-python
other-python:
	@case "$(call which,$(PYTHON))" in \
	  *" True") rm -rf .venv;; \
	  *) echo "PYTHON=$(PYTHON) is no Python 3.11 or newer with venv; name another" >&2; exit 1;; \
	esac

$(STAMP): requirements/dev.txt pyproject.toml setup.py
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
	  for python in $(or $(PYTHON),$(CANDIDATES)); do \
	    if "$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then found="$$python"; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "No Python 3.11 or newer with venv among: $(or $(PYTHON),$(CANDIDATES))." >&2; \
	    echo "Install one, or name it: make setup PYTHON=path/to/python" >&2; exit 1; \
	  fi; \
	  "$$found" -m venv .venv; \
	fi
	@# The lock is whole, so nothing is resolved: a resolver asks for more than the lock when a newer
	@# release of something in it comes out.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: setup .venv/.sample ## run the code census sample, from nothing to its result
	@$(DEMO)

.PHONY: demo-postgres
demo-postgres: setup .venv/.sample ## the same on a PostgreSQL of its own, with two workers
	@$(BIN)/python tools/demo_postgres.py $(DEMO_HOME)/postgres

.venv/.sample: $(STAMP) $(wildcard $(SAMPLE)/pyproject.toml)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e $(SAMPLE)
	@touch $@

.PHONY: test
test: setup ## run the tests on all cores
	@$(PYTEST) $(ARGS)

.PHONY: quick
quick: setup ## the unit tests of what changed since the main branch, in less than a minute
	@$(BIN)/python tools/quick.py $(ARGS)

.PHONY: test-newest
test-newest: setup ## what is quick, on the newest Python that is here, if that is not .venv's
	@$(BIN)/python tools/newest.py $(ARGS)

.PHONY: test-versions
test-versions: setup ## the tests on each Python of .ci/matrix that is here, or on those of ARGS
	@$(BIN)/python -m tools.versions $(ARGS)

.PHONY: chaos
chaos: setup ## the tests of trust, with SCALE times as many seeds, kills and images (7)
	@$(PYTEST) tests/trust --scale $(or $(SCALE),7) --timeout 7200 $(ARGS)

.PHONY: sim
sim: setup ## the simulator: SEEDS seeds of random graphs (20000), from START on (0)
	@$(PYTEST) tests/trust/simulator/test_seeds.py --timeout 0 --sim-start $(or $(START),0) --sim-seeds $(or $(SEEDS),20000) $(ARGS)

.PHONY: mutants
mutants: setup ## plant each fault of tests/planted in a copy of the tree: the tests must find it (ARGS)
	@$(BIN)/python -m tests.planted $(ARGS)

.PHONY: check
check: setup ## run every check below and fail at the end if one failed
	@$(MAKE) --no-print-directory --keep-going --output-sync=target -j2 \
	  check-types check-pyright check-lint check-format check-imports check-commits

.PHONY: check-lint check-format check-types check-pyright check-imports check-commits
check-lint: setup ## ruff: rules
	$(BIN)/ruff check

check-format: setup ## ruff: format
	$(BIN)/ruff format --check

check-types: setup ## mypy, strict
	$(BIN)/mypy .link/stepwell setup.py pytest_stepwell.py $(OTHERS)

check-pyright: setup ## pyright
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

check-imports: setup ## import-linter: who may import whom
	cd .link && ../$(BIN)/lint-imports --config ../pyproject.toml --no-cache

check-commits: setup ## subjects of commits
	@$(BIN)/python tools/commits.py $(RANGE)

.PHONY: format
format: setup ## let ruff format and fix what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: cover
cover: setup ## tests with branch coverage; engine and stores need 95 percent
	$(PYTEST) --cov --cov-branch --cov-report= $(ARGS)
	$(BIN)/coverage report
	$(BIN)/coverage report --include='engine/*,stores/*' --fail-under=95

.PHONY: bench
bench: setup ## run the benchmarks, with the peers that are installed
	@$(BENCH) $(ARGS)

.PHONY: bench-long
bench-long: setup ## the same with runs of 1,000,000 steps: some minutes more
	@$(BENCH) --long $(ARGS)

.PHONY: bench-postgres
bench-postgres: setup ## the same on PostgreSQL, beside the peers that are installed
	@$(BENCH).postgres $(ARGS)

# What is profiled: a sample of benchmarks/fresh.py, and what it is given.
WORK ?= graph place=. shape=fan count=100000

.PHONY: profile
profile: setup .venv-bench/.installed ## a flame graph of one sample of the benchmarks (WORK)
	@mkdir -p $(DEMO_HOME)/bench
	.venv-bench/bin/py-spy record --rate 250 --output $(DEMO_HOME)/bench/profile.svg \
	  $(ARGS) -- $(BIN)/python -m benchmarks.fresh $(WORK)

.PHONY: counts
counts: setup ## transactions and statements of a step, by shape and database
	@$(BENCH).counts

.PHONY: bench-peers
bench-peers: .venv-bench/.installed ## install the peers for it, in a virtualenv of their own

# Not from a lock: peers are measured as they are on the day, and their versions are printed.
.venv-bench/.installed: pyproject.toml | $(STAMP)
	$(BIN)/python -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

.PHONY: sql
sql: setup ## print the store's SQL statements, for both databases (ARGS=--keep: keep them)
	@$(BIN)/python tools/sql.py $(ARGS)

.PHONY: lock
lock: $(STAMP) ## write requirements/dev.txt anew; UPGRADE=1 takes newer versions
	$(BIN)/python -m venv --clear .lock
	.lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	.lock/bin/uv pip compile --quiet --universal --python-version 3.11 $(if $(UPGRADE),--upgrade) \
	  --extra dev --generate-hashes --no-header --no-annotate --no-emit-package stepwell \
	  --output-file requirements/dev.txt pyproject.toml
	rm -rf .lock

.PHONY: clean
clean: ## remove everything made here, except .stepwell (the runs you started)
	rm -rf .venv .venv-newest .venv-versions .venv-bench .link .lock build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find $(wildcard $(ROOMS) tests tools samples benchmarks) -name __pycache__ -prune -exec rm -rf {} +
