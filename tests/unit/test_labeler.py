"""Which GPU label a node gets: real product names, PCI ids, the probe's script, what nodes say of themselves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kubectl_sky import accelerators, labeler
from kubectl_sky.capacity import nodes
from kubectl_sky.labeler import FAIL, KEEP, LABEL, PROBE, ProbeOptions, Step
from kubectl_sky.labels import gpu_probe, pci_ids

# as `nvidia-smi --query-gpu=name,memory.total --format=csv,noheader` prints them -> what people call them
NVIDIA = """\
NVIDIA A100-SXM4-80GB, 81920 MiB -> A100-80GB
NVIDIA A100-SXM4-40GB, 40960 MiB -> A100
A100-SXM4-40GB, 40537 MiB -> A100
NVIDIA A100-PCIE-40GB, 40960 MiB -> A100
NVIDIA A100 80GB PCIe, 81920 MiB -> A100-80GB
NVIDIA A100-SXM-64GB, 65536 MiB -> A100-64GB
GRID A100D-80C, 81920 MiB -> A100-80GB
NVIDIA A800-SXM4-80GB, 81920 MiB -> A800
NVIDIA A10, 23028 MiB -> A10
NVIDIA A10G, 23028 MiB -> A10G
NVIDIA A16, 15356 MiB -> A16
NVIDIA A2, 15356 MiB -> A2
NVIDIA A30, 24576 MiB -> A30
NVIDIA A40, 46068 MiB -> A40
NVIDIA H100 80GB HBM3, 81559 MiB -> H100
NVIDIA H100 PCIe, 81559 MiB -> H100
NVIDIA H100 NVL, 95830 MiB -> H100-NVL
NVIDIA H100 64GB HBM2, 65247 MiB -> H100-64GB
NVIDIA H800, 81559 MiB -> H800
NVIDIA H20, 97871 MiB -> H20
NVIDIA H200, 143771 MiB -> H200
NVIDIA H200 NVL, 143771 MiB -> H200
NVIDIA GH200 480GB, 97871 MiB -> GH200
NVIDIA GH200 120GB, 97871 MiB -> GH200
NVIDIA GH200 144G HBM3e, 146831 MiB -> GH200-144GB
NVIDIA B200, 183359 MiB -> B200
NVIDIA B300 SXM6 AC, 275040 MiB -> B300
NVIDIA GB200, 189471 MiB -> GB200
NVIDIA GB300, 284208 MiB -> GB300
NVIDIA GB10, [N/A] -> GB10
NVIDIA L4, 23034 MiB -> L4
NVIDIA L40, 46068 MiB -> L40
NVIDIA L40S, 46068 MiB -> L40S
NVIDIA RTX 6000 Ada Generation, 49140 MiB -> RTX6000-Ada
NVIDIA RTX 4000 SFF Ada Generation, 20475 MiB -> RTX4000-Ada
NVIDIA RTX PRO 6000 Blackwell Server Edition, 97887 MiB -> RTXPRO6000
NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition, 97887 MiB -> RTXPRO6000
NVIDIA RTX A6000, 49140 MiB -> A6000
NVIDIA RTX A2000 12GB, 12282 MiB -> A2000
Quadro RTX 6000, 24220 MiB -> RTX6000
Quadro RTX 8000, 48601 MiB -> RTX8000
Tesla V100-SXM2-16GB, 16160 MiB -> V100
Tesla V100-SXM2-32GB, 32510 MiB -> V100-32GB
Tesla V100S-PCIE-32GB, 32510 MiB -> V100-32GB
Tesla P100-PCIE-16GB, 16280 MiB -> P100
Tesla P40, 22919 MiB -> P40
Tesla P4, 7611 MiB -> P4
Tesla K80, 11441 MiB -> K80
Tesla M60, 7618 MiB -> M60
Tesla T4, 15360 MiB -> T4
NVIDIA T4G, 15360 MiB -> T4g
NVIDIA TITAN RTX, 24576 MiB -> TITANRTX
NVIDIA GeForce RTX 5090, 32607 MiB -> RTX5090
NVIDIA GeForce RTX 4090, 24564 MiB -> RTX4090
NVIDIA GeForce RTX 3090 Ti, 24564 MiB -> RTX3090Ti
NVIDIA GeForce RTX 4070 Ti SUPER, 16376 MiB -> RTX4070Ti-16GB
NVIDIA GeForce GTX 1080 Ti, 11264 MiB -> GTX1080Ti
NVIDIA A100-SXM4-80GB MIG 1g.10gb, [N/A] -> A100-80GB-MIG-1g.10gb
NVIDIA H100 80GB HBM3 MIG 3g.40gb, [N/A] -> H100-MIG-3g.40gb"""
# as rocm-smi prints them as `Card Series`, and hl-smi and xpu-smi: name, MiB
OTHERS = """\
AMD Instinct MI300X OAM, 196592 MiB -> MI300X
AMD Instinct MI325X, 262128 MiB -> MI325X
AMD Instinct MI355X, 294896 MiB -> MI355X
AMD INSTINCT MI250 (MCM) OAM AC MBA, 65520 MiB -> MI250
Instinct MI210, 65520 MiB -> MI210
Arcturus GL-XL [Instinct MI100], 32752 MiB -> MI100
AMD Radeon PRO W7900, 49136 MiB -> W7900
HL-225, 98304 MiB -> Gaudi2
HL-325L, 131072 MiB -> Gaudi3
Intel(R) Data Center GPU Max 1550, 131072 MiB -> Max1550
Intel(R) Data Center GPU Flex 170, 16384 MiB -> Flex170"""
PRODUCTS = [tuple(line.split(" -> ")) for line in [*NVIDIA.splitlines(), *OTHERS.splitlines()]]


@pytest.mark.parametrize(("printed", "name"), PRODUCTS)
def test_products(printed: str, name: str) -> None:
    product, _, memory = printed.rpartition(", ")
    found = gpu_probe.parse(f"node: n\nproduct: {product}\nmemory: {memory}\nsource: x\nend: of probe")
    assert found.complete
    assert found.names() == {name: 1}
    # the label leads back to the name
    assert accelerators.canonical(labeler.label_value(name)).lower() == name.lower()


@pytest.mark.parametrize(
    ("pci", "name"),
    [
        ("10de:20b2", "A100-80GB"), ("10de:20b0", "A100"), ("10de:2330", "H100"), ("10de:2335", "H200"),
        ("10de:2342", "GH200"), ("10de:2901", "B200"), ("10de:26b9", "L40S"), ("10de:26b5", "L40"),
        ("10de:2236", "A10"), ("10DE:2237", "A10G"), ("10de:1db5", "V100-32GB"), ("10de:1eb8", "T4"),
        ("1002:74a1", "MI300X"), ("1002:740f", "MI210"), ("1da3:1020", "Gaudi2"), ("8086:0bd5", "Max1550"),
        ("1d0f:7164", "Trainium"), ("10de:ffff", ""), ("1af4:1000", ""), ("", ""),
    ],
)  # fmt: skip
def test_pci_ids(pci: str, name: str) -> None:
    assert pci_ids.accelerator(pci) == name


def test_pci_names_are_canonical() -> None:
    names = {name for table in pci_ids._ALL.values() for name in table.values()}
    assert {name for name in names if accelerators.canonical(name) != name} == set()


# -- the script, in a root of its own ---------------------------------------------------------------------------------


class Root:
    """A fake node: what the script finds below it."""

    def __init__(self, path: Path):
        self.path = path
        for name in ("host", "proc", "sys/bus/pci/devices", "bin"):
            (path / name).mkdir(parents=True)
        self.program("bin/chroot", 'root=$1; shift; program=$1; shift; exec "$root$program" "$@"')

    def program(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def pci(self, slot: str, vendor: str, device: str, kind: str = "0x030200") -> None:
        folder = self.path / "sys/bus/pci/devices" / slot
        folder.mkdir()
        for name, value in (("vendor", f"0x{vendor}"), ("device", f"0x{device}"), ("class", kind)):
            (folder / name).write_text(value + "\n")

    def proc(self, text: str) -> None:
        folder = self.path / "proc/driver/nvidia/gpus/0000:07:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(text)
        (self.path / "proc/driver/nvidia/version").touch()

    def probe(self, shell: str = "sh") -> gpu_probe.Findings:
        env = {
            "PATH": f"{self.path}/bin:{os.environ['PATH']}", "NODE_NAME": "node-1", "SKY_OUT": str(self.path / "out"),
            **{f"SKY_{name.upper()}": str(self.path / name) for name in ("host", "proc", "sys")},
        }  # fmt: skip
        done = subprocess.run([*shell.split(), "-c", gpu_probe.SCRIPT], env=env, capture_output=True, text=True)
        assert done.returncode == 0
        assert done.stderr == ""
        assert (self.path / "out").read_text() == done.stdout
        found = gpu_probe.parse(done.stdout)
        assert found.complete, done.stdout
        return found


@pytest.fixture(params=["sh", "bash", "busybox sh"])
def shell(request: pytest.FixtureRequest) -> str:
    if subprocess.run(["which", request.param.split()[0]], capture_output=True).returncode:
        pytest.skip(f"no {request.param} here")
    return str(request.param)


@pytest.fixture(params=["sh", "bash"])
def chrooting(request: pytest.FixtureRequest) -> str:
    """Shells that take chroot from PATH: busybox's is a part of it."""
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


QUERY = 'case $1 in -L) {listed} ;; *) echo "{said}" ;; esac'
SMI = "host/usr/bin/nvidia-smi"


def test_nvidia_smi_of_the_image(root: Root, shell: str) -> None:
    listed = 'echo "GPU 0: NVIDIA A100 (UUID: GPU-1)"; echo "  MIG 1g.10gb     Device  0: (UUID: MIG-1)"'
    root.program("bin/nvidia-smi", QUERY.format(said="NVIDIA A100-SXM4-80GB, 81920 MiB", listed=listed))
    found = root.probe(shell)
    assert found.products == (("NVIDIA A100-SXM4-80GB", 80.0),)
    assert (found.slices, found.source) == (("1g.10gb",), "nvidia-smi")


def test_of_the_node(root: Root, chrooting: str) -> None:
    root.program(SMI, QUERY.format(said="NVIDIA L4, 23034 MiB\nNVIDIA L4, 23034 MiB", listed=":"))
    found = root.probe(chrooting)
    assert found.names() == {"L4": 2}
    assert found.told_by() == "nvidia-smi of the node"


def test_of_the_drivers_container_before_the_nodes(root: Root) -> None:
    root.program(SMI, "echo no driver; exit 9")
    root.program("host/run/nvidia/driver/usr/bin/nvidia-smi", QUERY.format(said="Tesla T4, 15360 MiB", listed=":"))
    found = root.probe()
    assert found.told_by() == "nvidia-smi of the driver's container"


def test_of_gke_needs_its_libraries(root: Root, chrooting: str) -> None:
    root.program(
        "host/home/kubernetes/bin/nvidia/bin/nvidia-smi",
        '[ "$LD_LIBRARY_PATH" = /home/kubernetes/bin/nvidia/lib64 ] && echo "NVIDIA H100 80GB HBM3, 81559 MiB"',
    )
    assert root.probe(chrooting).names() == {"H100": 1}


def test_a_driver_that_fails_is_told_and_the_next_way_tried(root: Root, chrooting: str) -> None:
    root.program(SMI, 'echo "NVIDIA-SMI has failed because it could not communicate with the driver."; exit 9')
    root.pci("0000:07:00.0", "10de", "20b2")
    root.pci("0000:08:00.0", "10de", "1af1", "0x068000")  # its NVSwitch
    root.pci("0000:09:00.0", "1a03", "2000", "0x030000")  # the server's own display
    found = root.probe(chrooting)
    assert found.notes == (
        "nvidia-smi of the node: NVIDIA-SMI has failed because it could not communicate with the driver. (exit code 9)",
    )
    assert found.pci == ("10de:20b2",)
    step = labeler.concluded(Step("n", PROBE), found)
    assert (step.action, step.gpu, step.source) == (LABEL, "A100-80GB", "PCI id")
    assert "no driver answers" in step.note


def test_one_broken_gpu_of_several(root: Root) -> None:
    said = "NVIDIA H200, 143771 MiB\nUnable to determine the device handle for GPU0000:18:00.0: Unknown Error"
    root.program(SMI, QUERY.format(said=said, listed=":") + "; exit 15")
    assert root.probe().names() == {"H200": 1}


def test_proc(root: Root, shell: str) -> None:
    root.proc("Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   \t\t 260\nGPU UUID: \t GPU-1\n")
    found = root.probe(shell)
    assert found.names() == {"A100-80GB": 1}
    assert (found.source, found.drivers) == ("/proc/driver/nvidia", ("nvidia",))


def test_rocm_smi(root: Root, chrooting: str) -> None:
    said = (
        "GPU[0]\t\t: Card Series: \t\tAMD Instinct MI300X OAM\nGPU[0]\t\t: Card Model: \t\t0x74a1\n"
        "GPU[0]\t\t: VRAM Total Memory (B): 206141652992\nGPU[0]\t\t: VRAM Total Used Memory (B): 297955328"
    )
    root.program("host/opt/rocm/bin/rocm-smi", f'echo "{said}"')
    found = root.probe(chrooting)
    assert found.products == (("AMD Instinct MI300X OAM", pytest.approx(192, abs=1)),)
    assert found.told_by() == "rocm-smi of the node"


def test_a_name_that_says_nothing_is_replaced_by_the_pci_ids(root: Root) -> None:
    root.program(SMI, QUERY.format(said="NVIDIA Graphics Device, 81920 MiB", listed=":"))
    root.pci("0000:07:00.0", "10de", "2330")
    assert root.probe().names() == {"H100": 1}


def test_nothing(root: Root, shell: str) -> None:
    step = labeler.concluded(Step("n", PROBE), root.probe(shell))
    assert (step.action, step.note) == (FAIL, "no GPU was found on it")
    assert "drivers" in step.hint
    assert "kubectl label node n " in step.hint


def test_cut_off() -> None:
    assert not gpu_probe.parse("node: n\nproduct: Tesla T4").complete
    assert not gpu_probe.parse("").complete


# -- what follows ---------------------------------------------------------------------------------------------------


def findings(*lines: str) -> gpu_probe.Findings:
    return gpu_probe.parse("\n".join(["node: n", *lines, "end: of probe"]))


def test_different_gpus() -> None:
    lines = [f"product: {name}" for name in ("NVIDIA L4", "NVIDIA A10", "NVIDIA L4")]
    step = labeler.concluded(Step("n", PROBE), findings(*lines))
    assert step.gpu == "L4"
    assert "2 L4, 1 A10" in step.note


def test_slices_of_one_size_are_what_the_node_offers() -> None:
    found = findings("product: NVIDIA A100-SXM4-80GB", "memory: 81920 MiB", *["slice: 1g.10gb"] * 7)
    single = labeler.concluded(Step("n", PROBE, devices={"nvidia.com/gpu": 7}), found)
    mixed = labeler.concluded(Step("n", PROBE, devices={"nvidia.com/mig-1g.10gb": 7}), found)
    assert (single.value, mixed.value) == ("a100-80gb-mig-1g.10gb", "a100-80gb")


def test_unknown_pci_id() -> None:
    step = labeler.concluded(Step("n", PROBE), findings("pci: 10de:ffff"))
    assert step.action == FAIL
    assert "10de:ffff" in step.note


# -- nodes ----------------------------------------------------------------------------------------------------------


def node(labels: dict[str, str] | None = None, ready: bool = True, **amounts: str) -> nodes.Node:
    allocatable = {"cpu": "8", **{key.replace("__", "/").replace("_", "."): value for key, value in amounts.items()}}
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"allocatable": allocatable, "conditions": conditions}
    return nodes.read({"metadata": {"name": "n", "labels": labels or {}}, "status": status})


def planned(one: nodes.Node, **options: bool) -> tuple[str, str, str] | None:
    steps = labeler.plan([one], **options)  # type: ignore[arg-type]
    return (steps[0].action, steps[0].gpu, steps[0].source) if steps else None


GPU = {"nvidia_com__gpu": "8"}
SKY = "skypilot.co/accelerator"
GFD = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}


@pytest.mark.parametrize(
    ("labels", "amounts", "step"),
    [
        ({}, {}, None),
        ({}, GPU, (PROBE, "", "")),
        (GFD, GPU, (LABEL, "A100-80GB", "label nvidia.com/gpu.product")),
        (GFD, {}, (LABEL, "A100-80GB", "label nvidia.com/gpu.product")),
        ({"node.kubernetes.io/instance-type": "p4d.24xlarge"}, GPU, (LABEL, "A100", "instance type")),
        ({"node.kubernetes.io/instance-type": "g5.xlarge"}, {}, (LABEL, "A10G", "instance type")),
        ({"node.kubernetes.io/instance-type": "m5.xlarge"}, {}, None),
        ({SKY: "h100"}, GPU, (KEEP, "H100", f"label {SKY}")),
        ({SKY + "s": "h100"}, GPU, (LABEL, "H100", f"label {SKY}s")),
        # the label says less than the machine
        ({"k8s.amazonaws.com/accelerator": "nvidia-tesla-a100", "node.kubernetes.io/instance-type": "p4de.24xlarge"},
         GPU, (LABEL, "A100-80GB", "label k8s.amazonaws.com/accelerator")),
        ({"feature.node.kubernetes.io/pci-10de.present": "true"}, {}, (PROBE, "", "")),
        ({"feature.node.kubernetes.io/pci-0302_10de.present": "true"}, {}, (PROBE, "", "")),
        ({"feature.node.kubernetes.io/pci-1002.present": "true"}, {}, (PROBE, "", "")),
        ({"feature.node.kubernetes.io/pci-0300_8086.present": "true"}, {}, None),  # a desktop's display
        ({"feature.node.kubernetes.io/pci-0200_8086.present": "true"}, {}, None),
        ({}, {"amd_com__gpu": "8"}, (PROBE, "", "")),
        ({}, {"habana_ai__gaudi": "8"}, (PROBE, "", "")),  # which of the three?
        ({}, {"gpu_intel_com__i915": "4"}, (PROBE, "", "")),
        ({}, {"nvidia_com__mig-1g_10gb": "7"}, (PROBE, "", "")),
        (GFD, {"nvidia_com__mig-1g_10gb": "7"}, (LABEL, "A100-80GB", "label nvidia.com/gpu.product")),
        ({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"}, {"nvidia_com__gpu": "7"},
         (LABEL, "A100-80GB-MIG-1g.10gb", "label nvidia.com/gpu.product")),
        ({"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"}, {"google_com__tpu": "4"},
         (KEEP, "tpu-v5-lite-podslice", "resource google.com/tpu")),
    ],
)  # fmt: skip
def test_plan(labels: dict[str, str], amounts: dict[str, str], step: tuple[str, str, str] | None) -> None:
    assert planned(node(labels, **amounts)) == step


def test_overwrite_asks_anew_what_the_label_says() -> None:
    wrong = {SKY: "a100"}  # as SkyPilot's labeler calls it
    assert planned(node(wrong, **GPU), overwrite=True) == (PROBE, "", "")
    assert planned(node({**wrong, **GFD}, **GPU), overwrite=True) == (
        LABEL,
        "A100-80GB",
        "label nvidia.com/gpu.product",
    )
    (kept,) = labeler.plan([node({**wrong, **GFD}, **GPU)])
    assert kept.action == KEEP
    assert "--overwrite corrects it" in kept.note


def test_a_node_that_is_named_is_probed_in_any_case() -> None:
    assert [step.action for step in labeler.plan([node()], ["n"])] == [PROBE]
    assert labeler.plan([node()], ["other"]) == []


def test_not_ready() -> None:
    (step,) = labeler.plan([node(ready=False, **GPU)])
    assert (step.action, step.note) == (FAIL, "the node is not ready")


@pytest.mark.parametrize("name", ["A100-80GB", "RTX6000-Ada", "A100-80GB-MIG-1g.10gb", "X/ Y (Z)!", "-a_", "x" * 99])
def test_label_values_are_valid(name: str) -> None:
    value = labeler.label_value(name)
    assert 0 < len(value) <= 63
    assert value[0].isalnum() and value[-1].isalnum()
    assert set(value) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._")


def test_job() -> None:
    options = ProbeOptions("kube-system", "image:1")
    long = "ip-10-0-0-1.us-west-2.compute.internal." + "x" * 200
    job = labeler.job(long, options)
    assert len(job["metadata"]["name"]) <= 63
    assert job["metadata"]["labels"]["job"] == "sky-gpu-labeler"
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeName"] == long
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["automountServiceAccountToken"] is False
    assert not any("/" in key for key in pod["containers"][0]["resources"]["limits"])  # no GPU
    other = labeler.job(long, ProbeOptions("kube-system", "image:2"))
    assert other["metadata"]["name"] != job["metadata"]["name"]


def test_unprivileged_job_mounts_nothing_of_the_node() -> None:
    pod = labeler.job("n", ProbeOptions("x", "image:1", privileged=False))["spec"]["template"]["spec"]
    assert "volumes" not in pod
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
