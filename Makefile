# Two commands do everything: `make demo` shows the main job, `make test` proves it.
# Needs Python >= 3.11 and make; all else is brought by the project's own files.
.DEFAULT_GOAL := help
SHELL := /bin/sh

.PHONY: help demo demo-down test check unit e2e soak generate lock format clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: .venv/ready ## cluster, chart, devbox: a turn, sleep, wake; shows each step
	@.venv/bin/python hack/demo

demo-down: ## take the demo's cluster down, nothing stays behind
	@hack/cluster down

test: .venv/ready ## every tier that can run here; says what was left out and why
	@.venv/bin/python hack/test

check: .venv/ready ## format, lint, types, layers, generated files
	@.venv/bin/python hack/test check

unit: .venv/ready ## pure code, properties and local processes; no cluster
	@.venv/bin/python hack/test check unit integration

e2e: .venv/ready ## journeys on a real cluster
	@.venv/bin/python hack/test e2e

soak: .venv/ready ## the long forms of the fault tests
	@RANVIER_SOAK=1 .venv/bin/python hack/test integration e2e

generate: .venv/ready ## write CRDs and the pages made from models
	@.venv/bin/python hack/crdgen.py
	@.venv/bin/python hack/docgen.py

format: .venv/ready ## format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

lock: .venv/ready ## resolve dependencies anew into the hashed exports
	@hack/lock

clean: ## remove what was made in the checkout (caches outside stay)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/ready: requirements-dev.lock pyproject.toml sdk/pyproject.toml hack/venv
	@hack/venv
