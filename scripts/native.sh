#!/usr/bin/env bash
# Builds dist/kubectl-sky-OS-ARCH, for machines without Python: what build.sh has put into build/site, and this Python.
# Only for the system that it runs on, and those with as new a libc. PYTHON's libpython must be a shared library.
# On Windows in Git's bash; native-windows.sh builds that file on Linux.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
[ -d build/site/kubectl_sky ] || { echo "native.sh: run build.sh first" >&2; exit 1; }
bin=build/native/venv/bin suffix=
os=$(uname -s | tr '[:upper:]' '[:lower:]')
case $os in mingw* | msys*) os=windows bin=build/native/venv/Scripts suffix=.exe ;; esac
[ -x "$bin/pyinstaller$suffix" ] || {
  "$python" -m venv --clear build/native/venv
  "$bin/python" -m pip --quiet --disable-pip-version-check install --require-hashes -r scripts/native.lock
}
machine=$(uname -m)
case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
export KUBECTL_SKY_NATIVE=kubectl-sky-$os-$machine
"$bin/pyinstaller" --noconfirm --log-level ERROR --distpath dist --workpath "build/native/$KUBECTL_SKY_NATIVE" \
  scripts/native.spec
ls -l "dist/$KUBECTL_SKY_NATIVE$suffix"
