# The first two are for a fresh Debian machine with Python and Go, as root (they make a Kubernetes cluster of their own).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test build native native-windows native-arm64 lint unit golden e2e bench reference cluster-up cluster-down clean

## demo: a cluster, the program, and a first launch on it
demo:
	bash scripts/demo.sh

## test: everything that CI runs
test:
	bash .ci/run

$(BIN)/shiv:
	PYTHON=$(PYTHON) bash scripts/venv.sh

## build: dist/kubectl-sky, and the archive and manifest for krew
build: $(BIN)/shiv
	PYTHON=$(BIN)/python ./build.sh

## native: dist/kubectl-sky-OS-ARCH, one file with a Python inside, for machines that have none
native: build
	bash scripts/native.sh

## native-windows: dist/kubectl-sky-windows-amd64.exe, built on Linux by wine; with what krew installs there
native-windows: build
	PYTHON=$(BIN)/python bash scripts/native-windows.sh
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python scripts/krew.py dist/kubectl-sky

## native-arm64: dist/kubectl-sky-linux-arm64, built by an emulator
native-arm64: build
	PYTHON=$(BIN)/python bash scripts/native-arm64.sh

## lint: style, types, layers
lint: $(BIN)/shiv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 kubectl_sky/system
	$(BIN)/lint-imports

## unit, golden, e2e: one ring of tests (e2e needs cluster-up, or KUBECONFIG)
unit golden e2e: $(BIN)/shiv
	$(BIN)/python -m pytest tests/$@

## bench: the figures of docs/comparison.md, on the cluster of KUBECONFIG
bench: $(BIN)/shiv
	$(BIN)/python tests/bench/bench.py

## reference: the pages of docs/ that are made from the program's own help, table of fields and outputs
reference: $(BIN)/shiv
	$(BIN)/python scripts/make_reference.py
	$(BIN)/python scripts/make_task_yaml.py
	$(BIN)/python scripts/make_man.py
	$(BIN)/python scripts/make_output.py
	$(BIN)/python scripts/make_errors.py

## cluster-up, cluster-down: the cluster for tests, three nodes
cluster-up: $(BIN)/shiv
	$(BIN)/python -m tests.cluster up 3

cluster-down: $(BIN)/shiv
	$(BIN)/python -m tests.cluster down

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
