#!/usr/bin/env bash
# From a fresh clone to a task on a real cluster: builds kubectl-sky and a Kubernetes cluster on this machine, launches
# examples/hello.yaml and removes the task. The cluster stays: `make cluster-down` removes it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
run() { say "$@"; "$@"; }

bash scripts/venv.sh
PYTHON=.venv/bin/python ./build.sh
.venv/bin/python -m tests.cluster up 3
eval "$(.venv/bin/python -m tests.cluster env)"
# a kubectl plugin is any program on the PATH that is called kubectl-*
export PATH="$PWD/dist:$PATH"

run kubectl get nodes
run kubectl sky launch -c hello -y examples/hello.yaml --image-id sky-test/python:1
run kubectl sky status
run kubectl sky down hello -y
