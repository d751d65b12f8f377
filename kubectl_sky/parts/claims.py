"""Accelerators by dynamic resource allocation: what each pod claims. Pure."""

from __future__ import annotations

import json
from typing import Any

from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.parts.part import Part

CLAIM = "accelerators"  # the claim's name in the pod


def part(name: str, request: DeviceRequest) -> Part:
    """A ResourceClaimTemplate for `request.count` devices of the products that are meant."""
    exactly: dict[str, Any] = {"deviceClassName": request.key, "allocationMode": "ExactCount", "count": request.count}
    if request.products:
        known = json.dumps(list(request.products))
        attribute = f'device.attributes["{request.driver}"].productName'
        exactly["selectors"] = [{"cel": {"expression": f"{attribute} in {known}"}}]
    template = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name},
        "spec": {"spec": {"devices": {"requests": [{"name": CLAIM, "exactly": exactly}]}}},
    }
    pod = {"resourceClaims": [{"name": CLAIM, "resourceClaimTemplateName": name}]}
    return Part(manifests=(template,), pod=pod)
