#!/usr/bin/env bash
# Makes .venv with the project and its tools, unless it is there. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
[ -x .venv/bin/shiv ] && exit
if ! "$python" -m venv .venv; then
  # Debian's Python comes without venv
  apt-get update -qq
  apt-get install -y -qq python3-venv
  "$python" -m venv --clear .venv
fi
.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
