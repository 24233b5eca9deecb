# Everything that one does with this project. `make` alone lists the targets.
# Set-up is part of each target: the environment is made from the locks, and again when a lock changes.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Only needed where pip finds no CPU wheel of torch by its own settings.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# On a machine with a GPU: make demo GPU=1
GPU ?=
FLAVOUR := $(if $(GPU),gpu,cpu)

VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements/bootstrap.txt requirements/$(FLAVOUR).txt $(if $(GPU),,requirements/torch-cpu.txt)
STAMP := $(VENV)/.$(FLAVOUR)-$(shell cat $(LOCKS) pyproject.toml Makefile 2>/dev/null | sha256sum | cut -c1-16)
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --python-version 3.11 \
	--python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	--no-annotate
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tools that look at the network at their start are told not to; what must be fetched, fetches anyway.
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
$(if $(GPU),$(eval export BRANDVOICE_ENGINE__DEVICE := cuda))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

.PHONY: demo
demo: setup ## Two sample brands to talk to on 127.0.0.1:8000 (ONCE="question" asks and ends; TRAIN=1 trains; GPU=1)
	@exec $(BIN)/brandvoice demo $(if $(TRAIN),--train) $(if $(ONCE),--once "$$ONCE")
export ONCE

# All tests run in two processes; what is named in TESTS, and tests on one PostgreSQL, in one.
TWO := $(if $(TESTS)$(TEST_DATABASE_URL),,--numprocesses 2 --no-loadscope-reorder)

.PHONY: test
test: setup chromium models ## All tests but the slow ones (TESTS=PATH: these only)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not slow" $(TWO) $(TESTS)

.PHONY: test-slow
test-slow: setup chromium models ## The long stories, before an issue is resolved
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow $(TESTS)

.PHONY: check
check: setup ## Lint, format, types, import rules, Dockerfile: the same as CI and pre-commit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/compose-lint compose.yaml >/dev/null || $(BIN)/compose-lint compose.yaml

.PHONY: adapters
adapters: setup ## Train the adapters that ship again (a GPU takes minutes, two CPU cores take hours)
	@for brand in velmora dicehollow; do \
		$(BIN)/brandvoice kb add --brand $$brand || exit 1; \
		$(BIN)/brandvoice train --brand $$brand --questions 40 --ship || exit 1; \
	done

BENCH ?= serving

.PHONY: bench
bench: setup ## Measure what we claim; the tables go to benchmarks/results
	@for name in $(BENCH); do $(BIN)/python -m benchmarks.$$name; done

.PHONY: bench-answers
bench-answers: setup ## How well the sentence check, the refusal and the fence hold
	@$(BIN)/python -m benchmarks.answers $(if $(OUT),--out $(OUT))

.PHONY: bench-retrieval
bench-retrieval: setup ## Search on public question sets beside BM25, dense, RRF (PEERS=venv adds LangChain and Haystack)
	@$(BIN)/python -m benchmarks.retrieval $(if $(PEERS),--peers $(PEERS)) \
		--out benchmarks/results/$$(date +%F)-retrieval.md --speed benchmarks/results/$$(date +%F)-search-speed.md

.PHONY: chaos
chaos: setup ## Try to break the channels: kill -9, forged requests, dropped answers, trouble of all kinds (NAMES="kill forged", SCHEMATHESIS=command)
	@$(BIN)/python -m benchmarks.chaos $(NAMES) --out benchmarks/results/$$(date +%F)-chaos.md
	@$(if $(SCHEMATHESIS),$(BIN)/python -m benchmarks.chaos_http --schemathesis $(SCHEMATHESIS) --out benchmarks/results/$$(date +%F)-chaos.md)

.PHONY: bench-channels
bench-channels: setup ## How soon a webhook has its 200 under load, and what idle and slow visitors cost
	@$(BIN)/python -m benchmarks.chaos ack idle slow-reader --out benchmarks/results/$$(date +%F)-channels.md

.PHONY: pictures
pictures: setup chromium ## Pictures of the console's pages for the docs, both themes, desktop and phone (PAGES="overview people")
	@$(BIN)/python -m benchmarks.pictures $(PAGES)

.PHONY: docs
docs: setup ## Write the generated pages of docs/
	@$(BIN)/python -m service.cli.docs

.PHONY: locks
locks: $(BIN)/uv ## Resolve all dependencies again and write requirements/*.txt
	@links=$$($(BIN)/pip config get global.find-links 2>/dev/null || true); \
	$(COMPILE) --extra cpu --extra dev --extra postgres $${links:+--find-links $$links} --no-emit-package torch \
		$(if $(UPGRADE),--upgrade) --output-file requirements/cpu.txt >/dev/null; \
	$(COMPILE) --extra gpu --extra dev --extra postgres --constraint requirements/shared.in \
		$(if $(UPGRADE),--upgrade) --output-file requirements/gpu.txt >/dev/null; \
	$(COMPILE) --extra postgres --constraint requirements/cpu.txt \
		$(if $(UPGRADE),--upgrade) --output-file requirements/gateway.txt >/dev/null; \
	! grep -HiE '^(torchvision|torchaudio|torchcodec|nvidia-|cuda-)' requirements/cpu.txt requirements/gateway.txt

.PHONY: clean
clean: ## Remove caches; the environment and the state folder stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# --- set-up ---------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(STAMP)

$(STAMP): | $(BIN)/uv
	@echo "packages       installing what $(LOCKS) name" >&2
	@$(if $(GPU),true,$(TORCH)) & torch=$$!; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/$(FLAVOUR).txt; \
	wait $$torch
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.$(FLAVOUR)-*; touch $@

# torch's CPU wheel stands in no ordinary index: first where pip's own settings lead, then in torch's index.
PIP_TORCH := $(BIN)/python -m pip install -qq --no-deps --no-compile --require-hashes -r requirements/torch-cpu.txt
TORCH := { $(PIP_TORCH) 2>/dev/null || $(PIP_TORCH) --index-url $(TORCH_INDEX); }

$(BIN)/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "error: no environment can be made without the venv module; try: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -qq --no-deps --require-hashes -r requirements/bootstrap.txt
	@touch $@

MODELS := $(or $(BRANDVOICE_HOME),var)/models

# Here, so that two processes of tests do not both begin with it.
.PHONY: models
models: ## Prepare encoder and base model, which all else does by itself, too
models: $(MODELS)/all-minilm-l6-v2/manifest.json $(MODELS)/smollm2-135m-instruct/base.json

$(MODELS)/all-minilm-l6-v2/manifest.json: | setup
	@echo "encoder        preparing, once" >&2
	@$(BIN)/python -m retrieval.encoder $(@D)

$(MODELS)/smollm2-135m-instruct/base.json: | setup
	@echo "base model     preparing, once" >&2
	@$(BIN)/python -m training.base_model --models $(MODELS) >/dev/null

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "chromium       installing for the browser tests" >&2; \
			apt-get update -qq >/dev/null && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		fi; \
	} || true
	@command -v chromium >/dev/null || \
		echo "note: no chromium here, so the browser tests are skipped; try: apt-get install chromium" >&2
