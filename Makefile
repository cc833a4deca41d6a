# Every target works on a fresh machine: bootstrap installs missing programs and changes nothing else.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help up down test test-unit test-torch test-fresh check bench

# bootstrap installs uv here for users other than root.
export PATH := $(PATH):$(HOME)/.local/bin

RUN := uv run python -m

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t14

up: ## install missing programs, build the images, start the stack, speak a sentence
	@scripts/bootstrap
	@$(RUN) build.images
	@$(RUN) build.cutover switch
	@$(RUN) build.hello

down: ## remove the containers of the stack; keep journal, images and .env
	@command -v docker >/dev/null || { echo 'docker is not installed, so no stack runs on this machine' >&2; exit 1; }
	@# The agent may have moved traffic since .env was written, and `docker compose up` starts what .env names.
	@! test -x .venv/bin/python || .venv/bin/python -m build.cutover status >/dev/null 2>&1 || true
	@docker compose --profile '*' down --remove-orphans

test: ## unit, integration and end-to-end tests, without the ones below
	@scripts/bootstrap
	@scripts/bootstrap --node
	@tests/run

test-unit: ## unit tests, without Docker
	@scripts/bootstrap --no-engine
	@$(RUN) pytest -n 2 --dist loadfile tests/unit

test-torch: ## tests of engine vits on the CPU, in a separate environment with torch (8 GB)
	@scripts/bootstrap --torch
	@.venv-torch/bin/python -m pytest tests/torch

test-fresh: ## the README commands on a fresh Debian 12 with its own engine
	@scripts/bootstrap
	@tests/fresh/run

check: ## format, lint, types, structure, Dockerfiles, Compose file, shell
	@scripts/bootstrap --no-engine
	@scripts/check

bench: ## measure the figures of the README
	@scripts/bootstrap
	@$(RUN) bench
