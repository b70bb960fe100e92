# All commands for contributors. Needs Python 3.10 or newer, make and bash; everything else is installed into .venv*.
SHELL := bash
.DEFAULT_GOAL := help
PYTHON_CODE := airflow_provider_tallyfy dev tests $(wildcard benchmarks example_dags)
# In seconds; pytest-timeout stops a test that takes longer.
export PYTEST_TIMEOUT ?= 120
# Two workers per core, at most 8: half of a test's time is spent waiting for a process or a time limit.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN || echo 2); echo $$((n > 4 ? 8 : 2 * n)))

.PHONY: help
help: ## Show this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: demo
demo: .env-main ## Archive the stale runs of a sandbox with real Airflow; UI=1 starts the Airflow UI
	@.venv/bin/python -m dev.demo $(if $(UI),--ui) $(if $(ARCHIVE),--archive)

.PHONY: test
test: .env-main .env-sdk .env-types ## Run the tests; pytest gets ARGS, such as ARGS="-k form"
	@.venv/bin/pytest --numprocesses=auto --dist=loadfile $(ARGS)

.PHONY: soak
soak: .env-main ## Call all public methods with many more generated arguments; CALLS=200000, SEED=1 repeats a run
	@seed=$${SEED:-$$RANDOM}; echo "SEED=$$seed CALLS=$${CALLS:-50000}, in each of three parts"; \
	FUZZ_SEED=$$seed FUZZ_CALLS=$${CALLS:-50000} PYTEST_TIMEOUT=0 .venv/bin/pytest --numprocesses=auto --dist=loadfile \
		-p no:logging --show-capture=no --tb=short tests/contract/test_every_*_fails_as_documented.py $(ARGS)

.PHONY: matrix
matrix: .env-main .env-sdk ## Run the tests on all supported Airflow and Python versions; ARGS="3.0 py3.13" selects some
	@.venv/bin/python dev/matrix.py $(ARGS)

.PHONY: e2e
e2e: .env-e2e .env-airflow2 ## Test Airflow 3 and 2.11 in a browser and in a database outage (7 min); ARGS as in test
	@.venv-e2e/bin/pytest tests/e2e $(ARGS)

.PHONY: pictures
pictures: .env-e2e ## Take the screenshots in docs/images again, with the same browser
	@E2E_PICTURES=1 .venv-e2e/bin/pytest tests/e2e -m picture $(ARGS)

.PHONY: bench
bench: .env-bench .env-sdk ## Compare the speed with alternatives (6 min); QUICK=1 takes 2 min, ONLY=call measures one part
	@.venv-bench/bin/python -W ignore -m benchmarks $(if $(QUICK),--quick) $(addprefix --only ,$(ONLY))

.PHONY: dist
dist: .env-release ## Build sdist and wheel into dist/, and check their contents
	@.venv-release/bin/python dev/dist.py

.PHONY: install-check
install-check: dist .env-main ## Install that wheel in clean environments, with the oldest and the newest Airflow
	@.venv/bin/python -m dev.install_check

.PHONY: release
release: .env-release ## Check, build, commit and tag a release, without an upload; VERSION=1.2.3
	@.venv-release/bin/python dev/release.py $(VERSION)

.PHONY: lint
lint: .env-main ## Check style, formatting and types
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet . || { .venv/bin/ruff format --check .; echo "make format fixes this"; exit 1; }
	@.venv/bin/mypy --strict $(PYTHON_CODE)

.PHONY: format
format: .env-main ## Format the code and apply automatic fixes
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

.PHONY: pins
pins: .env-main ## Pin the newest versions of all dependencies (dev/constraints-*.txt)
	@dev/pins.sh

.PHONY: clean
clean: ## Remove environments, caches and build results
	rm -rf .venv .venv-sdk .venv-bench .venv-e2e .venv-airflow2 .venv-types .venv-release .venv-uv .venv.lock .matrix .demo .e2e dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Creates or updates an environment; takes no time if nothing has changed (dev/bootstrap.sh).
.env-%:
	@dev/bootstrap.sh $*
