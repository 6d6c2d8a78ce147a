# Each target works on a bare checkout: what it needs is installed into .venv first.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

.PHONY: search test covered check lint style types clean

search: .venv/installed
	$(BIN)/python run_search.py experiments/quickstart.toml

# By default torch takes a thread for each core in every process.  Several test processes would wait
# for each other's threads, which costs a fifth of the processor time.
test check: export OMP_NUM_THREADS = 1

# The tests start hundreds of processes: what one of them compiles, the others read, also where the
# environment forbids it.
test check lint: export PYTHONDONTWRITEBYTECODE =

# The types are checked beside the tests, because that takes half a minute of one core.
test: .venv/installed-test style
	$(MAKE) -j 2 types covered

# Many tests wait for other processes: three at once keep two cores busy.
covered:
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# Before each commit: lint, types, and the tests that start no process and train next to nothing.
check: .venv/installed-test lint
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile -m "not slow"

lint: style types

style: .venv/installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: .venv/installed-test
	$(BIN)/python -m mypy

# pip compiles one file after the other, and the tests of all packages too.  A file of a package that
# cannot be compiled is not for this Python, and nobody imports it.
define install
$(BIN)/python -m pip install --no-compile --editable $(1)
$(BIN)/python -m compileall -qq -j 0 -x "[/\\]tests?[/\\]" .venv || exit 0
endef

.venv/created:
	$(PYTHON) -m venv .venv
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/installed: .venv/created setup.cfg setup.py pyproject.toml
	$(call install,.)
	$(PYTHON) -c "open('$@', 'w').close()"

.venv/installed-test: .venv/created setup.cfg setup.py pyproject.toml
	$(call install,".[test]")
	$(PYTHON) -c "open('$@', 'w').close(); open('.venv/installed', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; shutil.rmtree('.venv', ignore_errors=True)"
