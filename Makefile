# Set-up and the main jobs; needs Python 3.11 or later, g++, make and perl.
#   make demo    generate conv3 of the bundled network, simulate it, synthesise it
#   make test    all tests and checks; without PyTorch, tests of training are skipped with a reason:
#                make test EXTRAS=dev,train runs them too
PYTHON ?= python3
EXTRAS ?= dev
BIN := .venv/bin
# Where the tests of training are skipped, its code is not measured.
export COVERAGE_OMIT := $(if $(findstring train,$(EXTRAS)),none,bnn2hw/train/*)

.PHONY: demo test check quick bench clean

demo: .venv/installed
	$(BIN)/bnn2hw generate --layer conv3 --plan mst --out build/demo
	$(BIN)/bnn2hw simulate build/demo
	$(BIN)/bnn2hw synth build/demo --target lut6 --target ice40 --target ecp5 --baseline

test: check
	$(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term

check: .venv/installed-$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Without the slow tests, for work in progress.
quick: .venv/installed-$(EXTRAS)
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow"

.venv/created:
	$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'bnn2hw needs Python 3.11 or later, this is ' + sys.version.split()[0] + ': give PYTHON=...')"
	$(PYTHON) -m venv .venv
	touch $@

.venv/installed: .venv/created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/installed-$(EXTRAS): .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]"
	touch $@

clean:
	rm -rf .venv build dist
