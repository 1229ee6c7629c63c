# Every command that a person types. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is whole when the stamp is newer than the lock: a half-made one is finished, not trusted.
$(VENV)/.complete: requirements.lock
	@test -n "$(PYTHON)" || { echo "make: no python3.11 found; install Python 3.11 or later with venv" >&2; exit 1; }
	@echo "setting up $(VENV) (once, about half a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than 3.11: say PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "make: no environment could be made in $(VENV): is python3.11-venv installed? then run make again" >&2; exit 1; }
	@$(PY) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock || \
	  { echo "make: the packages could not be installed: is there a network? then run make again" >&2; exit 1; }
	@touch $@

.PHONY: setup
setup: $(VENV)/.complete ## create the environment (.venv) from the lock file

.PHONY: test
test: setup ## run every test that needs no root: CPython and MicroPython (ARGS="-k name" to choose)
	@$(PY) -m pytest -n auto $(ARGS)

.PHONY: test-gate
test-gate: setup ## attack the release gate: prints each attack, the reason expected, the answer, and its allowed twin
	@PYTHONPATH=.:tests/mdms $(PY) -m gate_attacks

.PHONY: test-system
test-system: setup ## (root) install Chromium, PostgreSQL, mosquitto, nginx and systemd by package, and run the tests that need them
	@test "$$(id -u)" = 0 || { echo "test-system: needs root, to install packages" >&2; exit 1; }
	@apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	  chromium chromium-driver fonts-dejavu-core postgresql mosquitto nginx-light systemd iproute2 python3-venv $$(command -v npm >/dev/null || echo nodejs npm) >/dev/null
	@npm ci --silent
	@$(PY) -m pytest -m system tests/system $(ARGS)

.PHONY: test-browser
test-browser: setup ## run the tests in a real Chromium alone, of those that test-system runs, and print their figures
	@command -v chromium chromedriver >/dev/null || \
	  { echo "test-browser: no chromium or chromedriver: make test-system installs them, or apt-get install chromium chromium-driver" >&2; exit 1; }
	@test -d node_modules || npm ci --silent
	@$(PY) -m pytest -m browser tests/system $(ARGS)

# What builds and runs the emulated boards; scripts/hil/needs.py names the same for who is not root.
HIL_PACKAGES := build-essential cmake dpkg-dev gcc-arm-none-eabi libnewlib-arm-none-eabi \
  libstdc++-arm-none-eabi-newlib qemu-system-arm
.PHONY: hil
hil: setup ## build the emulated boards, once, and run the firmware on them (root installs the compilers by package)
	@test "$$(id -u)" != 0 || { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
	  --no-install-recommends $(HIL_PACKAGES) $$(command -v npm >/dev/null || echo nodejs npm) >/dev/null; }
	@test -f node_modules/rp2040js/package.json || npm ci --silent
	@$(PY) -m scripts.hil
	@$(PY) -m pytest -m hil tests/hil $(ARGS)

# When it was typed: the demonstration says how long the first point of a curve took, the environment included.
STARTED := $(shell date +%s)

.PHONY: demo
demo: setup ## run a simulated street with real firmware, daemons and pages (ARGS="--help" for options)
	@HUSHMETER_DEMO_STARTED=$(STARTED) $(PY) -m scripts.demo $(ARGS)

.PHONY: replay
replay: setup ## run a file of readings through the real processes: READINGS=file.csv OUT=folder ARGS="--help"
	@test -n "$(READINGS)$(findstring --help,$(ARGS))" || { echo "replay: say READINGS=file.csv" >&2; exit 2; }
	@test -n "$(OUT)$(findstring --help,$(ARGS))" || { echo "replay: say OUT=folder, new or empty" >&2; exit 2; }
	@$(PY) -m scripts.replay --readings "$(READINGS)" --out "$(OUT)" $(ARGS)

.PHONY: flash
flash: setup ## put the firmware onto a board, or update a meter: PORT=/dev/ttyUSB0 ARGS="--configuration meter.toml"
	@test -n "$(PORT)$(findstring --help,$(ARGS))" || { echo "flash: say PORT=, such as PORT=/dev/ttyUSB0" >&2; exit 2; }
	@$(PY) -m scripts.flash --port "$(PORT)" $(ARGS)

.PHONY: doctor
doctor: setup ## say how a meter is, without stopping it: PORT=/dev/ttyUSB0 ARGS="--json"
	@test -n "$(PORT)$(findstring --help,$(ARGS))" || { echo "doctor: say PORT=, such as PORT=/dev/ttyUSB0" >&2; exit 2; }
	@$(PY) -m scripts.doctor --port "$(PORT)" $(ARGS)

# The peers that the benchmark measures, apart from the environment: nobody else pays for them.
BENCH := build/bench
$(BENCH)/.complete: requirements-bench.lock $(VENV)/.complete
	@echo "setting up $(BENCH), the benchmark's peers (once)"
	@rm -rf $(BENCH)
	@$(PY) -m scripts.bench.installing $(BENCH)
	@touch $@

.PHONY: bench
bench: setup $(BENCH)/.complete ## measure Paillier and the concentrator's path beside other libraries (ARGS="--quick --json FILE")
	@$(PY) -m scripts.bench $(ARGS)

.PHONY: torture
torture: setup ## cut power, kill, flood and fail the disk under the concentrator (ARGS="--kills N --power-cuts N --frames N")
	@$(PY) -m scripts.torture $(ARGS)

.PHONY: flash-cuts
flash-cuts: setup ## cut a meter's power at every operation of its flash (ARGS="SEEDS [STRIDE [PLANT]]")
	@$(PY) tests/firmware/flash_cuts.py $(ARGS)

.PHONY: bench-gateway
bench-gateway: setup ## measure a real concentrator under a street's load, some minutes (ARGS="--help" for options)
	@$(PY) -m scripts.bench_gateway $(ARGS)

.PHONY: metrology
metrology: setup ## measure emulated meters' errors over their range, some minutes (ARGS="--quick --picture FILE")
	@$(PY) -m scripts.metrology $(ARGS)

.PHONY: drain
drain: setup ## let the MDMS be away, then back, and measure how fast the outbox drains (ARGS="--hours N --meters N")
	@$(PY) -m scripts.drain $(ARGS)

.PHONY: bench-billing
bench-billing: setup ## measure how long the bills of 1,000 customers take to open and prove (ARGS="--help" for options)
	@$(PY) -m scripts.bench_billing $(ARGS)

.PHONY: bench-mdms
bench-mdms: setup ## measure how fast an MDMS takes reports in, on SQLite and PostgreSQL (ARGS="--help" for options)
	@$(PY) -m scripts.bench_mdms $(ARGS)

.PHONY: figures
figures: setup ## print the figures that the documentation states (needs the data and vectors of ../shared)
	@$(PY) -m scripts.figures $(ARGS)

.PHONY: forecast
forecast: setup ## measure the day-ahead forecast on real homes, beside seasonal-naive ones (needs the data of ../shared)
	@$(PY) -m scripts.forecast_check $(ARGS)

.PHONY: leakage
leakage: setup ## measure what sums of real homes give away of one of them, by their number (needs the data of ../shared)
	@$(PY) -m scripts.leakage_check $(ARGS)

.PHONY: analog
analog: setup ## print the arithmetic of the meter's circuit: ranges, resolution, error budget, rules
	@$(PY) -m hardware analog

.PHONY: hardware
hardware: setup ## make the circuit's pictures, bill of materials and tables from hardware/circuit.toml (ARGS=--check)
	@$(PY) -m hardware draw $(ARGS)

PREFIX ?= /opt/hushmeter
.PHONY: install-gateway
install-gateway: ## (root) install the concentrator as a service (PREFIX=/opt/hushmeter DESTDIR=folder ARGS="--help")
	@test -n "$(PYTHON)" || { echo "make: no python3.11 found; install Python 3.11 or later with venv" >&2; exit 1; }
	@$(PYTHON) -m scripts.install_gateway --prefix "$(PREFIX)" --destdir "$(DESTDIR)" $(ARGS)

.PHONY: try-arm64
try-arm64: setup ## run the concentrator in an emulated userland of a 64-bit Raspberry Pi OS (Debian 12 and a network; no root)
	@$(PY) -m scripts.arm64_userland build/arm64 >/dev/null
	@$(PY) -m pytest -m system tests/arm64 $(ARGS)

.PHONY: lint
lint: setup ## check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: vendor
vendor: ## build the pages' third-party scripts anew from npm's packages (needs node and npm)
	npm ci
	node scripts/vendor.mjs

.PHONY: pictures
pictures: setup ## take the documentation's pictures of the pages (needs Chromium and its driver)
	@$(PY) -m scripts.pictures $(ARGS)

LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
  --no-annotate -q
.PHONY: lock
lock: ## make requirements.lock, requirements-bench.lock and requirements-home.lock anew (needs uv)
	uv pip compile pyproject.toml --all-extras $(LOCKED) -o requirements.lock
	uv pip compile scripts/bench/peers.in -c requirements.lock $(LOCKED) -o requirements-bench.lock
	uv pip compile scripts/customer_agent/packages.in -c requirements.lock $(LOCKED) -o requirements-home.lock

.PHONY: clean
clean: ## remove the environment and what tests leave behind
	rm -rf $(VENV) .pytest_cache .hypothesis .ruff_cache .mypy_cache build
