# Two commands do everything on a fresh machine with python3.11, venv, pip, make and git: make run, make test.

PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/objects

# Tests of one file stay in one process, which has one thread for its matrices: more would wait for each other.
PARALLEL ?= --numprocesses 2 --dist loadfile
test check-slow coverage: export OMP_NUM_THREADS = 1

PHOTOGRAPHS ?= $(wildcard ../shared/data/coco-tiny)

.PHONY: run test check-slow coverage docs objects baselines-mini frozen-batchnorm notebook lint format clean

run: $(VENV)/installed-run  ## live a society among objects of real photographs and write its report (under two minutes)
	$(BIN)/python -m experiments.run_society --out $(OUT)

test: $(VENV)/installed-dev  ## the tests (under ten minutes on two cores)
	$(BIN)/python -m pytest $(PARALLEL)

check-slow: $(VENV)/installed-dev  ## what takes longer, and all tests of trust, with a summary of what was gone through (over an hour)
	$(BIN)/python -m pytest $(PARALLEL) --no-loadscope-reorder -m "slow or trust"

coverage: $(VENV)/installed-dev  ## the tests, and which lines they went through: build/coverage/index.html
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term --cov-report=html:build/coverage $(TESTS)

docs: $(VENV)/installed-dev  ## the API reference from docstrings, build/api/index.html (a quarter of a minute)
	$(BIN)/python docs/build_api.py

objects: $(VENV)/installed-run  ## make the embeddings that societies live among anew, from photographs of COCO
	$(BIN)/python -m detection.embed --preset mini --features backbone --split train2017 val2017 \
		--short-side 800 --max-side 1333 --data $(PHOTOGRAPHS) --out agents/objects/coco.npz

baselines-mini: $(VENV)/installed-run  ## the lab's table on drawn shapes, and on photographs if given (under 45 minutes)
	$(BIN)/python -m experiments.baselines --preset mini $(if $(PHOTOGRAPHS),--photographs $(PHOTOGRAPHS))

frozen-batchnorm: $(VENV)/installed-run  ## what FrozenBatchNorm does, as a page of plots (half an hour)
	$(BIN)/python -m experiments.frozen_batchnorm

notebook: $(VENV)/installed-notebook  ## open the notebook that explores the library of a run
	$(BIN)/jupyter lab notebooks/explore_library.ipynb

lint: $(VENV)/installed-dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy docs/examples

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[viz]'
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/installed-run

$(VENV)/installed-notebook: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[notebook]'
	touch $@ $(VENV)/installed-run
