"""Which accelerators the clouds' machine types have, for nodes that no label describes. Data."""

from __future__ import annotations

import re

# (machine types, what they have), the first match wins. Sources: the machine type pages of AWS, Azure, GCP, Oracle.
_TYPES = (
    # AWS
    (r"p6e-gb200\..*", "GB200"), (r"p6-b300\..*", "B300"), (r"p6-b200\..*", "B200"),
    (r"p5en?\.48xlarge", "H200"), (r"p5\..*", "H100"), (r"p4de\..*", "A100-80GB"), (r"p4d\..*", "A100"),
    (r"p3dn\..*", "V100-32GB"), (r"p3\..*", "V100"), (r"p2\..*", "K80"),
    (r"g6e\..*", "L40S"), (r"gr?6f?\..*", "L4"), (r"g5g\..*", "T4g"), (r"g5\..*", "A10G"), (r"g4dn\..*", "T4"),
    (r"g3s?\..*", "M60"), (r"trn2u?\..*", "Trainium2"), (r"trn1n?\..*", "Trainium"), (r"inf2\..*", "Inferentia2"),
    (r"inf1\..*", "Inferentia"), (r"g4ad\..*", "V520"), (r"dl1\..*", "Gaudi"), (r"dl2q?\..*", "Gaudi2"),
    # Google Cloud: the machines whose type says it (others have it attached: GKE labels those)
    (r"a4x-.*", "GB200"), (r"a4-.*", "B200"), (r"a3-ultragpu-.*", "H200"), (r"a3-megagpu-.*", "H100-MEGA"),
    (r"a3-.*", "H100"), (r"a2-ultragpu-.*", "A100-80GB"), (r"a2-.*", "A100"), (r"g2-.*", "L4"),
    (r"g4-.*", "RTXPRO6000"),
    # Azure
    (r"Standard_ND\d+is[rf]?_GB200.*", "GB200"), (r"Standard_ND\d+is[rf]?_GB300.*", "GB300"),
    (r"Standard_ND\d+is[rf]?_H200.*", "H200"), (r"Standard_ND\d+[a-z]*_H100.*", "H100"),
    (r"Standard_NCC?\d+[a-z]*_H100.*", "H100-NVL"), (r"Standard_ND\d+is[rf]?_MI300X.*", "MI300X"),
    (r"Standard_ND\d+asr_v4", "A100"), (r"Standard_ND\d+amsr_A100_v4", "A100-80GB"),
    (r"Standard_NC\d+ads_A100_v4", "A100-80GB"), (r"Standard_NC\d+as_T4_v3", "T4"),
    (r"Standard_NV\d+adm?s_A10_v5", "A10"),
    (r"Standard_NC\d+r?s_v3", "V100"), (r"Standard_ND\d+rs_v2", "V100-32GB"), (r"Standard_NC\d+r?s_v2", "P100"),
    (r"Standard_ND\d+r?s", "P40"), (r"Standard_NC\d+r?", "K80"), (r"Standard_NV\d+s?(_v[23])?", "M60"),
    # Oracle
    (r"BM\.GPU\.GB200.*", "GB200"), (r"BM\.GPU\.B200.*", "B200"), (r"BM\.GPU\.H200.*", "H200"),
    (r"BM\.GPU\.H100.*", "H100"), (r"BM\.GPU\.MI300X.*", "MI300X"), (r"BM\.GPU\.A100-v2.*", "A100-80GB"),
    (r"BM\.GPU4.*", "A100"), (r"(BM|VM)\.GPU\.A10.*", "A10"), (r"(BM|VM)\.GPU3.*", "V100"),
    (r"(BM|VM)\.GPU2.*", "P100"), (r"BM\.GPU\.L40S.*", "L40S"),
)  # fmt: skip


def accelerator(machine: str) -> str:
    """`p4d.24xlarge` -> `A100`, `Standard_NC24ads_A100_v4` -> `A100-80GB`; "" for others."""
    if not machine:
        return ""
    return next((name for pattern, name in _TYPES if re.fullmatch(pattern, machine, re.I)), "")
