# Two commands a stranger needs: `make demo` and `make test`. The rest is for developers.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(sort $(wildcard plugins/*))
EDITABLE := -e . $(addprefix -e ,$(PLUGINS))

.PHONY: demo test test-all lint docs lock setup wheels
setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(EDITABLE)
	touch $@

demo: setup
	$(BIN)/emoframe demo

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-all: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

docs: setup
	$(BIN)/emoframe docs

wheels: setup
	for project in . $(PLUGINS); do $(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist $$project || exit 1; done

# overrides.txt lets mediapipe 0.10.21 in; the result names no registry
lock: setup
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --override overrides.txt \
		--extra pose-format --group dev pyproject.toml requirements.in -o requirements.lock
