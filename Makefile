# Thin verbs. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo run test lint bench clean

demo: .venv/demo
	mkdir -p out/demo
	$(BIN)/streamdet run --source 'synthetic:plates?duration=40&countries=RO,DE,FR,IT,ES,NL,PL,GB&truth=out/demo/truth.jsonl' --engine plates --out out/demo/
	@$(BIN)/streamdet eval passed out/demo/truth.jsonl out/demo/records.jsonl
	@echo 'Look at out/demo/synthetic-plates.mp4; the records are in out/demo/records.jsonl.'

run: .venv/demo
	$(BIN)/streamdet run $(ARGS)

# Trainings run in a process of their own: at the end of the long one, after every other runtime's threads, one crashed.
test: $(READY) servers
	$(BIN)/python -m pytest --timeout 300 --ignore tests/unit/training
	$(BIN)/python -m pytest --timeout 300 tests/unit/training

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/demo
	$(BIN)/streamdet bench

clean:
	rm -rf .venv out

# The runtime alone, for those who want to see it run.
.venv/demo: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "streamdet needs Python 3.11 or later; try: make PYTHON=python3.12 demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# Everything that the tests need.
$(READY): .venv/demo
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Real servers for the integration tests, where this user may install them; the tests skip, and say so, without.
.PHONY: servers
servers:
	@tests/integration/install_servers
