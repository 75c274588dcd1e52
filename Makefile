# Every target depends on what it needs: on a fresh clone any of them works alone.
.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
READY := .venv/.ready
BROKER := .broker/lib/.ready
# The first Python here that is new enough and can make an environment; `make PYTHON=...` overrides.
PYTHON ?= $(shell for it in python3.11 python3.12 python3.13 python3; do \
	  "$$it" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$it" && break; done)

# Test processes at once, each with a PostgreSQL and a broker of its own.
JOBS ?= 2

.PHONY: help setup run test check format bench torture kafka broker lock

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## The environment in .venv, from the lock

$(READY): requirements.lock pyproject.toml infra/subscriber/pyproject.toml
	@test -n "$(PYTHON)" || { echo "Lethe needs Python 3.11 or later with venv (apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable . \
	  --editable infra/subscriber
	@touch $@

run: export LETHE_DATA ?= $(CURDIR)/.lethe
run: $(READY) ## Serve everything from LETHE_DATA (default ./.lethe)
	$(BIN)/lethe up

test: $(READY) broker ## The whole suite; with LETHE_REQUIRE_ALL=1 only a real Vault may be missing
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

torture: $(READY) broker ## The long form of the faults, and a soak (SOAK_MINUTES=30, SOAK_SEED=1)
	LETHE_TORTURE=1 $(BIN)/python -m pytest tests/faults tests/e2e/test_stranger.py tests/soak -m "" -s

check: $(READY) ## Style, types, who may import whom, and what subscribers were promised
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file infra/subscriber/pyproject.toml
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m infra.contracts check

format: $(READY) ## Put the source into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) broker ## Measure, against the stock library and a bare producer
	$(BIN)/python -m tests.benchmarks

kafka: $(READY) $(BROKER) ## A local broker to try things with, in the foreground
	$(BIN)/python -m infra.kafka.broker run

# Without Java and Maven the tests that need a broker are skipped, or fail under LETHE_REQUIRE_ALL=1.
broker: $(READY)
	@if command -v java >/dev/null && command -v mvn >/dev/null; then $(MAKE) -s $(BROKER); \
	else echo "no Java or no Maven: no local broker" >&2; fi

$(BROKER): infra/kafka/pom.xml | $(READY)
	$(BIN)/python -m infra.kafka.broker fetch

lock: $(READY) ## Pin what pyproject.toml asks for
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --group dev pyproject.toml -o requirements.lock
