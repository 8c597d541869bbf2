# `make` alone lists the targets. Every target makes .venv itself, at the versions in constraints.txt.
#   make test ARGS="-k ring"     more words for pytest
#   make test APT=no             never install a system package
#   make setup PYTHON=python3.13 choose the interpreter

.DEFAULT_GOAL := help
BIN := .venv/bin
ARGS ?=
APT ?= yes
PYTHON ?=
export PYTHON
export NO_MKDOCS_2_WARNING := 1

.PHONY: help setup demo picture test check bench validate errors examples docs fmt constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv and install everything for work on scaleplan
	@scripts/setup.sh dev docs

demo: ## place real jobs on a real fabric; writes out/demo.html
	@scripts/setup.sh
	$(BIN)/scaleplan demo -o out/demo.html

picture: demo ## make the README's picture from the demo's report; needs Chromium
	@scripts/setup.sh browser
	$(BIN)/python scripts/picture.py out/demo.html docs/images/demo.png

test: ## run every test suite; says at the end what was left out and why
	@scripts/setup.sh dev docs
	@$(BIN)/python -m tests.fixtures.suites install --apt=$(APT)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: ## formatting, lint, types, and the three floors
	@scripts/setup.sh dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: ## speed and quality, printed as ratios measured side by side
	@scripts/setup.sh dev
	$(BIN)/python -m tests.benchmarks $(ARGS)

validate: ## the models against published and measured figures
	@scripts/setup.sh
	$(BIN)/scaleplan validate tests/validation/data $(ARGS)

errors: ## renew what reports say of the models' errors, from the validation suites
	@scripts/setup.sh
	$(BIN)/python scripts/model_errors.py tests/validation/data reports/model_errors.json

examples: ## make one report of each kind in out/examples/
	@scripts/setup.sh
	$(BIN)/python scripts/examples.py out/examples

docs: ## build the documentation into site/, no warning allowed
	@scripts/setup.sh docs
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "docs: open site/index.html"

fmt: ## format the code and mend what lint can mend
	@scripts/setup.sh dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: ## renew constraints.txt (UPGRADE=yes: to the newest versions)
	@scripts/setup.sh pins
	@scripts/renew_constraints.sh $(UPGRADE)

clean: ## remove .venv and everything that was made
	rm -rf .venv out site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
