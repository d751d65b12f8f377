"""`check -o json`: all that was found, as a document whose keys stay. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky.checks import findings, findings_gpus, findings_limits, findings_queues, rights
from kubectl_sky.checks.findings import Answer, Finding, Seen

if TYPE_CHECKING:
    from kubectl_sky.checks.checking import Report

Object = dict[str, Any]


def document(usable: bool, local: Sequence[Finding], reports: Sequence[Report]) -> Object:
    """What may not be read is null."""
    return {
        "usable": usable,
        "client": {"findings": [_finding(one) for one in local]},
        "contexts": [_context(report) for report in reports],
    }


def _context(report: Report) -> Object:
    return {
        "name": report.name,
        "server": report.server,
        "usable": report.usable,
        "findings": [_finding(one) for one in report.findings],
        **(_facts(report.seen) if report.seen else {}),
        "roles": [*report.missing, *report.wanted],
    }


def _finding(one: Finding) -> Object:
    return {"check": one.check, "state": one.state, "message": one.message, "hint": one.hint}


def _facts(seen: Seen) -> Object:
    storage = seen.answer("storageclasses")
    return {
        "version": str((seen.version or {}).get("gitVersion", "")) or None,
        "clockSkewSeconds": None if seen.skew is None else round(seen.skew, 1),
        "user": seen.user or None,
        "namespace": {
            "name": seen.namespace,
            "phase": _phase(seen.answer("namespace")),
            "podSecurity": seen.labels.get(findings.ENFORCE, "privileged") if seen.answer("namespace").value else None,
        },
        "rights": _rights(seen),
        "nodes": _nodes(seen),
        "gpus": _gpus(seen),
        "deviceClasses": list(seen.classes),
        "quotas": _quotas(seen.answer("resourcequotas")),
        "limitRanges": _limit_ranges(seen.answer("limitranges")),
        "runtimeClasses": _names(seen.answer("runtimeclasses")),
        "storageClasses": _names(storage),
        "defaultStorageClass": findings.default_storage(storage) or None,
        "localQueues": _names(seen.answer("localqueues")) or [],
        "gangSchedulers": findings_queues.gang_schedulers(seen),
        "autoscalers": findings_queues.autoscalers(seen),
        "image": {"name": seen.image, "nodes": None if seen.nodes is None else seen.holding},
    }


def _phase(namespace: Answer) -> str | None:
    """`Active`, `Terminating`, `NotFound`"""
    if namespace.status == 404:
        return "NotFound"
    return None if namespace.value is None else str((namespace.value.get("status") or {}).get("phase", "Active"))


def _rights(seen: Seen) -> Object:
    def missing(needs: tuple[rights.Need, ...], namespace: str | None) -> list[str]:
        return [str(right) for right in seen.rights.missing(needs, namespace)]

    return {
        "known": not seen.rights.why_not,
        "missing": missing(rights.REQUIRED, seen.namespace),
        "missingOptional": missing((*rights.HELPFUL, rights.CLAIMS), seen.namespace),
        "missingInCluster": missing((*rights.VIEWS, rights.LABELER), None),
    }


def _nodes(seen: Seen) -> Object | None:
    if seen.nodes is None:
        return None
    return {"total": len(seen.nodes), "ready": sum(node.usable for node in seen.nodes)}


def _gpus(seen: Seen) -> list[Object] | None:
    if seen.nodes is None:
        return None
    return [
        {"name": name or None, "resource": key, "count": total, "nodes": nodes}
        for (name, key), (total, nodes) in findings_gpus.counted(seen.nodes).items()
    ]


def _quotas(answer: Answer) -> list[Object] | None:
    if answer.value is None:
        return None
    return [
        {
            "name": item["metadata"]["name"],
            "resources": {
                key: {"used": used, "hard": hard} for key, (used, hard) in findings_limits.usage(item).items()
            },
        }
        for item in answer.items
    ]


def _limit_ranges(answer: Answer) -> list[Object] | None:
    if answer.value is None:
        return None
    return [{"name": item["metadata"]["name"], "limits": item["spec"].get("limits") or []} for item in answer.items]


def _names(answer: Answer) -> list[str] | None:
    return None if answer.value is None else answer.names
