#!/usr/bin/env bash
# Builds dist/kubectl-sky: one pure-Python file for Linux and macOS, Python 3.10 to 3.14; and what krew needs.
# The same sources give the same bytes. PYTHON chooses the interpreter, which must have shiv.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
"$python" -c 'import shiv' 2>/dev/null || { echo "build.sh: '$python' has no shiv: pip install -e '.[dev]' (or set PYTHON)" >&2; exit 1; }

rm -rf build dist
mkdir -p build dist
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }
# requirements.lock holds one version of each package that runs on every Python we support:
#   uv pip compile --universal --fork-strategy fewest --generate-hashes --python-version 3.10 pyproject.toml -o requirements.lock
pip install --require-hashes --no-deps --no-compile --target build/site --requirement requirements.lock
pip install --no-deps --no-compile --upgrade --target build/site .
rm -rf build/lib build/bdist.*

"$python" scripts/pack.py build/site dist/kubectl-sky
"$python" scripts/krew.py dist/kubectl-sky
ls -l dist
