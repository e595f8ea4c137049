# Two commands a stranger needs: `make demo` and `make test`. The rest is for developers.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(sort $(wildcard plugins/*))
EDITABLE := -e . $(addprefix -e ,$(PLUGINS))

.PHONY: demo imigue w2s test test-all test-onedl lint docs lock setup wheels
setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(EDITABLE)
	touch $@

demo: setup
	$(BIN)/emoframe demo

# the paper on your copy of iMiGUE, see docs/imigue.md; started again, it goes on:
#   make imigue ROOT=folder [LABEL=yes | BUDGET=20] [I_MAY_UPLOAD=imigue] [GO_ON=yes] [SEEDS=3] [JOBS=1] [SET="key=value ..."]
imigue: setup
	$(if $(ROOT),,$(error give the folder of your copy: make imigue ROOT=folder))
	$(BIN)/python -m emoframe.imigue_paper '$(ROOT)' $(SET) $(if $(filter yes,$(LABEL)),--label) $(if $(BUDGET),--budget '$(BUDGET)') \
		$(if $(I_MAY_UPLOAD),--i-may-upload '$(I_MAY_UPLOAD)') $(if $(filter yes,$(GO_ON)),--go-on) $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(JOBS),--jobs '$(JOBS)')

# the recipe on generated videos, where something is to be learned and where nothing is
NOTHING := 'dataset.world="null"' weak_labels.store=planted-null-labels.sqlite
w2s: setup
	$(BIN)/emoframe label w2s/planted --split train
	$(BIN)/emoframe ablate ablations/table3 --run runs/w2s/table3
	$(BIN)/emoframe label w2s/planted $(NOTHING) --split train
	$(BIN)/emoframe ablate ablations/table3 $(NOTHING) --run runs/w2s/null

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-all: setup
	$(BIN)/python -m pytest

# the same tests of training with onedl-mmengine, the maintained fork under the same import name
test-onedl: setup
	$(PYTHON) -m venv .venv/onedl
	grep -v '^mmengine==' requirements.lock > .venv/onedl/requirements.txt
	$(BIN)/uv pip install --quiet --python .venv/onedl/bin/python --no-deps -r .venv/onedl/requirements.txt onedl-mmengine==0.10.12
	$(BIN)/uv pip install --quiet --python .venv/onedl/bin/python --no-deps --no-build-isolation $(EDITABLE)
	.venv/onedl/bin/python -m pytest -m "not slow" tests/core tests/contract tests/learning

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
