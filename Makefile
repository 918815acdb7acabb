# make demo | make test | make story | make lint: each sets up .venv first, once.
# make legacy: another environment, .venv-legacy, with the NumPy that TensorFlow 1 scripts expect.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Whole test files go to one worker, so that what a file loads is loaded once, in conftest's order.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: setup demo legacy story test test-slow lint clean

setup: $(STAMP)

# Redone only when what is to be installed changes.
$(STAMP): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "this needs Python 3.10 or later: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

legacy: .venv-legacy/.installed
	@echo ".venv-legacy/bin/python -m slim_resnet.legacy SCRIPT.py [args...]"

.venv-legacy/.installed: setup.py pyproject.toml
	$(PYTHON) -m venv .venv-legacy
	.venv-legacy/bin/python -m pip install --quiet --disable-pip-version-check -e '.[legacy]'
	@touch $@

demo: $(STAMP)
	@mkdir -p out
	@$(BIN)/python tools/build_graph.py --arch resnext_v1_50
	@$(BIN)/python tools/demo.py tests/data/slim_v1/v2 tests/data/slim_v1/outputs.npz out

# Trains, converts, fine-tunes and comes back, from nothing: about two minutes.
story: $(STAMP)
	@rm -rf out/story
	@$(BIN)/python tools/story.py --output out/story

test: $(STAMP)
	$(PYTEST) tests

# What takes long: large networks, benchmarks at toy size.
test-slow: $(STAMP)
	$(PYTEST) -m slow tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv .venv-legacy out build *.egg-info
