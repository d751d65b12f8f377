#!/bin/sh
# kubectl-sky @VERSION@. A shell script in front of a zip archive; the archive is unpacked once a build into the cache.
build=@BUILD@
export KUBECTL_SKY_PROGRAM="$0" # for what starts us again: ssh, by a path in its configuration

usable() { [ -d "$1" ] && [ -O "$1" ] && [ -w "$1" ] && [ ! -L "$1" ]; }

# Unpacked before: the stamp names the Python and the start file that were used. -I: nothing from PYTHONPATH, PYTHONHOME
# or the user's packages gets in; -S: nor from the system's.
start() {
  [ -r "$root/$build.start" ] && usable "$root" || return
  { read -r python; read -r script; } <"$root/$build.start"
  [ -x "$python" ] && [ -f "$script" ] && exec "$python" -IS "$script" "$@"
}

root=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/kubectl-sky
start "$@"
(umask 077 && mkdir -p "$root") 2>/dev/null
if ! usable "$root"; then
  # a home that cannot be written to (CI, containers)
  cache=$root
  root=${TMPDIR:-/tmp}/kubectl-sky-$(id -u)
  start "$@"
  (umask 077 && mkdir -p "$root") 2>/dev/null
  if ! usable "$root"; then
    echo "error: kubectl-sky can write neither to $cache nor to $root" >&2
    echo "  set XDG_CACHE_HOME to a folder of yours that it may write to" >&2
    exit 1
  fi
fi

for python in "${KUBECTL_SKY_PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
  if "$python" -IS -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    SHIV_ROOT=$root exec "$python" -IS "$0" "$@"
  fi
done
echo "error: kubectl-sky needs Python 3.10 or newer; there is none on the PATH ($(python3 --version 2>&1))" >&2
echo "  install one (brew install python, apt install python3, ...) or name it in KUBECTL_SKY_PYTHON" >&2
exit 1
