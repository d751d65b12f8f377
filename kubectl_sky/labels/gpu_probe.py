"""What a probe runs on a node to find its GPUs, and what the lines mean that it prints. Pure.

The script needs a POSIX shell (busybox's will do) and downloads nothing. It asks, until one knows: nvidia-smi or
rocm-smi of its own image, the driver's container and the node (its root is at /host, where the pod may see it), what
the driver says in /proc. What is plugged in, by PCI id, it prints in any case. The lines go to stdout and to the pod's
termination message, so that the client needs no log.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from kubectl_sky import accelerators
from kubectl_sky.labels import pci_ids

SCRIPT = r"""
set -f
host=${SKY_HOST-/host} proc=${SKY_PROC-/proc} sys=${SKY_SYS-/sys} out=${SKY_OUT-/dev/termination-log}
limit=
command -v timeout >/dev/null 2>&1 && limit="timeout 60"

nvidia() { # $1: what is asked; then how to run its nvidia-smi
  from=$1
  shift
  said=$($limit "$@" --query-gpu=name,memory.total --format=csv,noheader 2>&1)
  code=$?
  found=$(printf '%s\n' "$said" | while IFS= read -r line; do
    case $line in
      *", "*MiB | *", ["*"]") printf 'product: %s\nmemory: %s\n' "${line%, *}" "${line##*, }" ;;
    esac
  done)
  if [ -z "$found" ]; then
    echo "note: $from: $(printf '%s\n' "$said" | head -n 1) (exit code $code)"
    return 1
  fi
  printf '%s\nsource: %s\n' "$found" "$from"
  $limit "$@" -L 2>/dev/null | while read -r first profile rest; do
    [ "$first" = MIG ] && echo "slice: $profile"
  done
  return 0
}

rocm() { # the same with rocm-smi
  from=$1
  shift
  said=$($limit "$@" --showproductname --showmeminfo vram 2>&1)
  code=$?
  found=$(printf '%s\n' "$said" | while IFS= read -r line; do
    value=${line##*:}
    set -- $value
    case $line in
      *"Card "[Ss]eries:*) echo "product: $*" ;;
      *"VRAM Total Memory (B)"*) echo "memory: $*" ;;
    esac
  done)
  case $found in
    *product:*) printf '%s\nsource: %s\n' "$found" "$from" ;;
    *)
      echo "note: $from: $(printf '%s\n' "$said" | head -n 1) (exit code $code)"
      return 1
      ;;
  esac
}

on_node() { # $1: nvidia or rocm, $2: the program, then the directories in which it may be
  how=$1 program=$2
  shift 2
  for root in "$host/run/nvidia/driver" "$host"; do
    for folder in "$@"; do
      if [ -e "$root$folder/$program" ] || [ -L "$root$folder/$program" ]; then
        of="$program of the node"
        [ "$root" = "$host" ] || of="$program of the driver's container"
        $how "$of" env "LD_LIBRARY_PATH=${folder%/bin}/lib64" chroot "$root" "$folder/$program" && return 0
      fi
    done
  done
  return 1
}

by_proc() {
  set +f
  set -- "$proc"/driver/nvidia/gpus/*/information
  set -f
  found=
  for file in "$@"; do
    [ -r "$file" ] && while IFS= read -r line; do
      case $line in
        Model:*)
          set -- ${line#Model:}
          [ "$*" = Unknown ] || { echo "product: $*" && found=yes; }
          ;;
      esac
    done <"$file"
  done
  [ -n "$found" ] && echo "source: /proc/driver/nvidia"
}

by_pci() {
  set +f
  set -- "$sys"/bus/pci/devices/*
  set -f
  for device in "$@"; do
    [ -r "$device/vendor" ] || continue
    read -r vendor <"$device/vendor"
    read -r id <"$device/device"
    read -r class <"$device/class"
    case ${vendor#0x}-$class in
      10de-0x03* | 1002-0x03* | 1002-0x12* | 8086-0x0380* | 8086-0x12* | 1da3-* | 1d0f-0x08* | 1d0f-0x12*)
        echo "pci: ${vendor#0x}:${id#0x}"
        ;;
    esac
  done
}

probe() {
  echo "node: $NODE_NAME"
  { command -v nvidia-smi >/dev/null 2>&1 && nvidia nvidia-smi nvidia-smi; } ||
    { command -v rocm-smi >/dev/null 2>&1 && rocm rocm-smi rocm-smi; } ||
    on_node nvidia nvidia-smi /usr/bin /usr/local/bin /usr/local/nvidia/bin /home/kubernetes/bin/nvidia/bin \
      /opt/nvidia/bin /opt/bin /run/current-system/sw/bin /usr/lib/wsl/lib ||
    on_node rocm rocm-smi /opt/rocm/bin /usr/bin /usr/local/bin ||
    by_proc
  [ -e "$proc/driver/nvidia/version" ] && echo "driver: nvidia"
  [ -e "$sys/module/amdgpu" ] && echo "driver: amdgpu"
  by_pci
  echo "end: of probe"
}

found=$(probe)
printf '%s\n' "$found"
{ printf '%s\n' "$found" >"$out"; } 2>/dev/null
exit 0
"""
_NO_NAME = re.compile(r"0x\w*|N/A|Unknown.*|(NVIDIA )?Graphics Device|\[.*\]|", re.I)


@dataclass(frozen=True)
class Findings:
    """What a probe printed. `products`: (name, GB of memory or None); `slices`: MIG profiles; `pci`: vendor:device."""

    products: tuple[tuple[str, float | None], ...] = ()
    slices: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    complete: bool = False

    def names(self) -> Counter[str]:
        """Canonical names and how many there are of each: `{"A100-80GB": 8}`."""
        told = Counter(accelerators.canonical(product, memory) for product, memory in self.products)
        return told or Counter(name for name in map(pci_ids.accelerator, self.pci) if name)

    def told_by(self) -> str:
        return self.source if self.products else "PCI id"

    def product(self, name: str) -> str:
        """What the GPUs that we call `name` call themselves."""
        named = (one for one, memory in self.products if accelerators.canonical(one, memory) == name)
        return next(named, None) or next((one for one in self.pci if pci_ids.accelerator(one) == name), "")


def parse(text: str) -> Findings:
    """The lines of a probe. `complete` is False when its end is missing: cut off, or it did not get that far."""
    lines = [(key, value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    memories = [_gigabytes(value) for value in _all(lines, "memory")]
    names = list(_all(lines, "product"))
    pairs = zip(names, [*memories, *[None] * len(names)], strict=False)
    return Findings(
        products=tuple(pair for pair in pairs if not _NO_NAME.fullmatch(pair[0])),
        slices=tuple(re.sub(r"[+.-]me.*", "", one.lower()) for one in _all(lines, "slice")),
        pci=tuple(_all(lines, "pci")),
        source=next(_all(lines, "source"), ""),
        notes=tuple(_all(lines, "note")),
        drivers=tuple(_all(lines, "driver")),
        complete=bool(lines) and lines[0][0] == "node" and "end" in dict(lines),
    )


def _all(lines: list[tuple[str, str]], key: str) -> Iterator[str]:
    return (value for name, value in lines if name == key)


def _gigabytes(text: str) -> float | None:
    """`81920 MiB` -> 80, `206141652992` (bytes) -> 192, `[N/A]` -> None."""
    found = re.fullmatch(r"(\d+)( MiB)?", text)
    if not found:
        return None
    return int(found[1]) / (1024 if found[2] else 2**30)
