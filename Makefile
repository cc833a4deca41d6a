# Stable names; each works on a fresh machine, since bootstrap installs what is missing and is a no-op otherwise.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help up down test test-unit test-torch test-fresh check bench

# Where bootstrap puts uv for a user who is not root.
export PATH := $(PATH):$(HOME)/.local/bin

RUN := uv run python -m

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t14

up: ## install what is missing, build the images, start the stack, speak a sentence
	@scripts/bootstrap
	@$(RUN) build.images
	@$(RUN) build.cutover switch
	@$(RUN) build.hello

down: ## stop and remove the stack's containers; journal, images and .env stay
	@command -v docker >/dev/null || { echo 'there is no Docker here, so nothing runs' >&2; exit 1; }
	@docker compose --profile '*' down

test: ## every test but those below: unit, integration, end to end
	@scripts/bootstrap
	@tests/run

test-unit: ## the quick tests, which need no Docker
	@scripts/bootstrap --no-engine
	@$(RUN) pytest -n 2 --dist loadfile tests/unit

test-torch: ## engine vits on torch, in an environment of its own (8 GB), on the CPU
	@scripts/bootstrap --torch
	@.venv-torch/bin/python -m pytest tests/torch

test-fresh: ## both README commands on a fresh Debian 12 with its own engine
	@scripts/bootstrap
	@tests/fresh/run

check: ## format, lint, types, structure, Dockerfiles, Compose file, shell
	@scripts/bootstrap --no-engine
	@scripts/check

bench: ## the figures that the README quotes
	@scripts/bootstrap
	@$(RUN) bench
