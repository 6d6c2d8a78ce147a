# Each target works on a bare checkout: what it needs is installed into .venv first.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

.PHONY: search test check lint clean

search: .venv/installed
	$(BIN)/python run_search.py experiments/quickstart.toml

# By default torch takes a thread for each core in every process.  Several test processes would wait
# for each other's threads, which costs a fifth of the processor time.
test check: export OMP_NUM_THREADS = 1

# Many tests wait for other processes: three at once keep two cores busy.
test: .venv/installed-test lint
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# Before each commit: lint, types, and the tests that start no process and train next to nothing.
check: .venv/installed-test lint
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile -m "not slow"

lint: .venv/installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

.venv/created:
	$(PYTHON) -m venv .venv
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/installed: .venv/created setup.cfg setup.py pyproject.toml
	$(BIN)/python -m pip install --editable .
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/installed-test: .venv/created setup.cfg setup.py pyproject.toml
	$(BIN)/python -m pip install --editable ".[test]"
	$(PYTHON) -c "open('$@', 'w').close(); open('.venv/installed', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; shutil.rmtree('.venv', ignore_errors=True)"
