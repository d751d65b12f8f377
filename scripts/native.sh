#!/usr/bin/env bash
# Builds dist/kubectl-sky-OS-ARCH, for machines without Python: what build.sh has put into build/site, and this Python.
# Only for the system that it runs on, and those with as new a libc. PYTHON's libpython must be a shared library.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
[ -d build/site/kubectl_sky ] || { echo "native.sh: run build.sh first" >&2; exit 1; }
[ -x build/native/venv/bin/pyinstaller ] || {
  "$python" -m venv --clear build/native/venv
  build/native/venv/bin/pip --quiet --disable-pip-version-check install pyinstaller==6.22.3
}
machine=$(uname -m)
case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
name=kubectl-sky-$(uname -s | tr '[:upper:]' '[:lower:]')-$machine
# verbs are imported by their names, and remote/ is sent to pods as it is
PYTHONPATH=build/site build/native/venv/bin/pyinstaller --onefile --strip --noconfirm --log-level ERROR --name "$name" \
  --distpath dist --workpath build/native --specpath build/native \
  --collect-submodules kubectl_sky --add-data "$PWD/build/site/kubectl_sky/remote:kubectl_sky/remote" \
  scripts/native.py
ls -l "dist/$name"
