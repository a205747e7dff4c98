# `make demo` and `make test` set everything up themselves, on a bare Debian with Python 3.11 or later and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GRAVSCOPE := $(BIN)/gravscope
RATE ?=
NOTE ?=
WORKERS ?= 2
PERMUTATIONS ?=

# every twin X-bg begins with this
BG_NEEDS := setup
include gravscope.mk
RUN = env $(MEMSAFE_ENV) $(BIN)/python

.PHONY: help setup demo test test-quick test-guest guest-shell crash-matrix bench lint rep6-ab-fast rep6-ab-full progress clean
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20
	@echo 'Every target X has a twin X-bg that runs it as a job (make rep6-ab-full-bg), and there are'
	@echo 'jobs-run NAME= CMD=, jobs-status, jobs-logs NAME=, jobs-cancel NAME=, start, continue.'

setup: ## make the virtual environment, or mend it; nothing where it is whole
	@PYTHON=$(PYTHON) bash scripts/setup_venv.sh $(VENV)

jobs-run jobs-status jobs-logs jobs-cancel start continue: setup

demo: setup ## fit two models to six galaxies as a job, show how far it is, tell which fits better; about half a minute
	@GRAVSCOPE="$(GRAVSCOPE)" $(BIN)/python scripts/demo.py

test: setup ## every test that this machine can run; GRAVSCOPE_STRICT=1 makes a skipped one a failure
	@bash scripts/setup_test.sh $(VENV)
	@$(BIN)/python -m pytest $(PYTEST_OPTIONS)

test-quick: setup ## what needs nothing but Python and make: no package, no root; three to four minutes
	@$(BIN)/python -m pytest -m 'not needs and not slow' $(PYTEST_OPTIONS)

test-guest: setup ## only the tests in the guest machine; GUEST_OPTIONS for pytest
	@bash scripts/setup_test.sh $(VENV)
	@$(BIN)/python -m pytest tests/guest $(GUEST_OPTIONS)

guest-shell: setup ## a shell in the guest machine; MEM=400M for a smaller one
	@bash scripts/setup_test.sh $(VENV)
	@PATH=$(CURDIR)/$(BIN):$$PATH tests/guest/guest shell $(if $(MEM),--mem $(MEM))

crash-matrix: setup ## SIGKILL at every step of a job's life and MOMENTS=500 random moments; LAUNCHER=scope; SEED=1
	@bash scripts/setup_test.sh $(VENV)
	@$(BIN)/python -m tests.crash --both $(if $(LAUNCHER),--launcher $(LAUNCHER)) $(if $(MOMENTS),--random $(MOMENTS)) $(if $(SEED),--seed $(SEED))

bench: setup ## gravscope beside what people would use instead, as ratios; SECONDS=180, JSON=FILE, ONLY=launching, QUICK=1
	@bash scripts/setup_bench.sh
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json $(JSON))

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

rep6-ab-fast: setup ## both models on six galaxies, quickly, and the report
	@$(RUN) scripts/ab_comp/run_rep6_ws.py --fast
	@$(RUN) scripts/ab_comp/run_rep6_phieta.py --fast
	@$(RUN) scripts/reports/build_ws_vs_phieta_rep6.py --fast

rep6-ab-full: setup ## the same with the long permutation tests, cross-validation and the index of results
	@$(RUN) scripts/ab_comp/run_rep6_ws.py --full $(if $(PERMUTATIONS),--permutations $(PERMUTATIONS)) --workers $(WORKERS)
	@$(RUN) scripts/ab_comp/run_rep6_phieta.py --full $(if $(PERMUTATIONS),--permutations $(PERMUTATIONS)) --workers $(WORKERS)
	@$(RUN) scripts/reports/build_ws_vs_phieta_rep6.py --full
	@$(RUN) scripts/cross_validate_shared.py
	@$(RUN) scripts/build_state_of_the_art.py

progress: setup ## note how far the work is: RATE=50 NOTE="途中経過"
	$(call gravscope-need,RATE,RATE=50 NOTE="途中経過")
	@$(RUN) scripts/update_progress.py --rate $(call gravscope-quote,$(RATE)) --note $(call gravscope-quote,$(value NOTE))

clean: ## remove what the example scripts wrote; records and logs of jobs stay
	@rm -rf data/results server/public/state_of_the_art server/public/reports/*.html
