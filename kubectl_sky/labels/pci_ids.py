"""Accelerators by PCI id, for nodes on which nothing else tells them: no driver, or none that we may ask. Data.

Source: the public list of PCI ids (pci-ids.ucw.cz). Where one id stands for two products, the one of servers.
"""

from __future__ import annotations

NVIDIA, AMD, INTEL, HABANA, AMAZON = "10de", "1002", "8086", "1da3", "1d0f"
VENDORS = (NVIDIA, AMD, INTEL, HABANA, AMAZON)

_NVIDIA = {
    "102d": "K80", "13f2": "M60", "17fd": "M40", "15f7": "P100-12GB", "15f8": "P100", "15f9": "P100",
    "1b38": "P40", "1bb3": "P4", "1b06": "GTX1080Ti", "1b80": "GTX1080", "1d81": "TITANV",
    "1db1": "V100", "1db2": "V100", "1db3": "V100", "1db4": "V100", "1df5": "V100",
    "1db5": "V100-32GB", "1db6": "V100-32GB", "1db7": "V100-32GB", "1db8": "V100-32GB", "1df6": "V100-32GB",
    "1e02": "TITANRTX", "1e04": "RTX2080Ti", "1e07": "RTX2080Ti", "1e82": "RTX2080", "1e87": "RTX2080",
    "1e30": "RTX6000", "1e36": "RTX6000", "1e78": "RTX6000", "1eb0": "RTX5000", "1eb1": "RTX4000",
    "1eb4": "T4g", "1eb8": "T4",
    "20b0": "A100", "20b1": "A100", "20f1": "A100", "20b3": "A100-64GB", "20b2": "A100-80GB", "20b5": "A100-80GB",
    "20b8": "A100-80GB", "20b7": "A30", "20bd": "A800-40GB", "20f6": "A800-40GB", "20f3": "A800", "20f5": "A800",
    "2203": "RTX3090Ti", "2204": "RTX3090", "2206": "RTX3080", "2216": "RTX3080", "220a": "RTX3080-12GB",
    "2208": "RTX3080Ti", "2484": "RTX3070", "2488": "RTX3070", "2503": "RTX3060", "2504": "RTX3060",
    "2230": "A6000", "2231": "A5000", "2232": "A4500", "2233": "A5500", "24b0": "A4000", "2531": "A2000-6GB",
    "2571": "A2000", "2235": "A40", "2236": "A10", "2237": "A10G", "25b6": "A16",
    "2321": "H100-NVL", "2322": "H800", "2324": "H800", "2330": "H100", "2331": "H100", "2339": "H100",
    "2329": "H20", "2335": "H200", "233b": "H200", "2342": "GH200", "2348": "GH200-144GB",
    "2684": "RTX4090", "2685": "RTX4090", "2702": "RTX4080", "2704": "RTX4080", "2705": "RTX4070Ti-16GB",
    "2782": "RTX4070Ti", "2783": "RTX4070", "2786": "RTX4070", "2803": "RTX4060Ti", "2805": "RTX4060Ti-16GB",
    "26b1": "RTX6000-Ada", "26b2": "RTX5000-Ada", "27b0": "RTX4000-Ada", "27b2": "RTX4000-Ada",
    "27b1": "RTX4500-Ada", "28b0": "RTX2000-Ada", "26b5": "L40", "26b9": "L40S", "26ba": "L20", "27b8": "L4",
    "27b6": "L2",
    "2901": "B200", "2920": "B100", "29bc": "B100", "2941": "GB200", "3182": "B300", "31c2": "GB300", "2e12": "GB10",
    "2bb1": "RTXPRO6000", "2bb4": "RTXPRO6000", "2bb5": "RTXPRO6000", "2bb3": "RTXPRO5000",
    "2b85": "RTX5090", "2c02": "RTX5080", "2c05": "RTX5070Ti", "2f04": "RTX5070",
}  # fmt: skip
_AMD = {
    "66a1": "MI50-32GB", "738c": "MI100", "738e": "MI100", "7408": "MI250X", "740c": "MI250X", "740f": "MI210",
    "74a0": "MI300A", "74a1": "MI300X", "74a9": "MI300X", "74b5": "MI300X", "74bd": "MI300X", "74a2": "MI308X",
    "74a5": "MI325X", "74b9": "MI325X", "75a0": "MI350X", "75b0": "MI350X", "75a3": "MI355X", "75b3": "MI355X",
    "7448": "W7900", "745e": "W7800", "73a3": "W6800", "744c": "RX7900XTX",
}  # fmt: skip
_INTEL = {
    "0bd5": "Max1550", "0bd6": "Max1550", "0bd9": "Max1100", "0bda": "Max1100", "0bdb": "Max1100",
    "56c0": "Flex170", "56c1": "Flex140",
}  # fmt: skip
_HABANA = {"1000": "Gaudi", "1010": "Gaudi", "1020": "Gaudi2", "1060": "Gaudi3", "1063": "Gaudi3"}
_AMAZON = {"7064": "Inferentia", "7164": "Trainium", "7264": "Inferentia2", "7364": "Trainium2"}
_ALL = dict(zip(VENDORS, (_NVIDIA, _AMD, _INTEL, _HABANA, _AMAZON), strict=True))


def accelerator(pci: str) -> str:
    """`10de:20b2` -> `A100-80GB`; "" for what is not in the table."""
    vendor, _, device = pci.lower().replace("0x", "").partition(":")
    return _ALL.get(vendor, {}).get(device, "")
