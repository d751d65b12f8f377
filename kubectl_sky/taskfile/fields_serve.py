"""The fields of `service:` and `pool:`, and the rules between them."""

from __future__ import annotations

import json
import re
from typing import Any

from kubectl_sky.taskfile.field import Field

_NOT_FOR_LAUNCH = "is for serving; a launch ignores it"


def _path(value: str) -> None:
    if not value.startswith("/"):
        raise ValueError('should be a path that starts with "/"')


def _probe(value: Any) -> None:
    if isinstance(value, str):
        _path(value)


def _json(value: Any) -> None:
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            raise ValueError("should be a map or valid JSON") from None


def _qps(value: Any) -> None:
    for name in value if isinstance(value, dict) else ():
        if not re.fullmatch(r"[A-Z0-9]+(:[0-9]+)?", str(name)):
            raise ValueError(f"the key `{name}` should be an accelerator such as H100 or H100:1")


_SECONDS = "number"
_READINESS = Field("readiness_probe", "text|map", "Path that answers when a replica is ready, or a map.", (
    Field("path", "text", "HTTP path.", check=_path),
    Field("initial_delay_seconds", _SECONDS, "1200 by default."),
    Field("timeout_seconds", _SECONDS, "15 by default."),
    Field("endpoint_probe_interval_seconds", _SECONDS, "10 by default."),
    Field("consecutive_failure_threshold_timeout", _SECONDS, "Seconds of failures after which a replica is replaced."),
    Field("post_data", "text|map", "Sent with POST: a map, or JSON text.", check=_json),
    Field("headers", "map", "HTTP headers.", value=Field("", "text")),
), required=("path",), check=_probe)  # fmt: skip

_POLICY = Field("replica_policy", "map", "How many replicas.", (
    Field("min_replicas", "int", "Fewest replicas.", minimum=0),
    Field("max_replicas", "int", "Most replicas.", minimum=0),
    Field("num_overprovision", "int", "Replicas beyond what is needed.", minimum=0),
    Field("target_qps_per_replica", "number|map", "Requests a second for a replica; or a map of accelerators to them.",
          value=Field("", "number", minimum=0), minimum=0, check=_qps),
    Field("dynamic_ondemand_fallback", "bool", "Nodes on demand while there are no spot nodes."),
    Field("base_ondemand_fallback_replicas", "int", "Replicas that are always on demand.", minimum=0),
    Field("spot_placer", "text", "How spot replicas are spread.", choices=("dynamic_fallback",)),
    Field("upscale_delay_seconds", "number", "300 by default."),
    Field("downscale_delay_seconds", "number", "1200 by default."),
), required=("min_replicas",))  # fmt: skip


def _service_rules(value: dict[str, Any]) -> None:
    policy = value.get("replica_policy")
    by_kind = isinstance((policy or {}).get("target_qps_per_replica"), dict)
    if (value.get("load_balancing_policy") == "instance_aware_least_load") != by_kind:
        raise ValueError("a map of target_qps_per_replica goes with instance_aware_least_load, and only with it")
    if policy is None:
        return
    if value.get("replicas") is not None:
        raise ValueError("`replicas` and `replica_policy` cannot both be given")
    least, most, qps = policy["min_replicas"], policy.get("max_replicas"), policy.get("target_qps_per_replica")
    if most is not None and most < least:
        raise ValueError(f"max_replicas ({most}) must be at least min_replicas ({least})")
    if qps is not None and most is None:
        raise ValueError("`max_replicas` must be set when `target_qps_per_replica` is")
    if qps is None and most not in (None, least):
        raise ValueError("different min_replicas and max_replicas need `target_qps_per_replica`")


SERVICE = Field("service", "map", "A service with replicas.", (
    _READINESS,
    _POLICY,
    Field("replicas", "int", "A fixed number of replicas."),
    Field("ports", "int", "Port of the service.", minimum=1, maximum=65535),
    Field("load_balancing_policy", "text", "round_robin, least_load (default) or instance_aware_least_load.",
          choices=("round_robin", "least_load", "instance_aware_least_load"), exact_case=True),
    Field("load_balancer", "map", "Its settings.", (Field("stream_timeout_seconds", "number", "120 by default."),)),
    Field("tls", "map", "Files of a TLS key and certificate.", (
        Field("keyfile", "text", "File of the key."), Field("certfile", "text", "File of the certificate."),
    ), required=("keyfile", "certfile")),
    Field("workers", "int", internal=True),
    Field("pool", "map", internal=True),
), note=_NOT_FOR_LAUNCH, check=_service_rules)  # fmt: skip


def _pool_rules(value: dict[str, Any]) -> None:
    least, most = value.get("min_workers"), value.get("max_workers")
    if value.get("workers") is None and least is None and most is None:
        raise ValueError("`workers`, or `min_workers` and `max_workers`, must be given")
    if most is None and (least is not None or value.get("queue_length_threshold") is not None):
        raise ValueError("`max_workers` must be given with `min_workers` or `queue_length_threshold`")
    name, least = ("min_workers", least) if least is not None else ("workers", value.get("workers"))
    if least is not None and most is not None and least > most:
        raise ValueError(f"{name} ({least}) must be at most max_workers ({most})")
    if most is None and any(value.get(f"{way}scale_delay_seconds") is not None for way in ("up", "down")):
        raise ValueError("upscale_delay_seconds and downscale_delay_seconds need `max_workers`")


POOL = Field("pool", "map", "A pool of workers for jobs.", (
    Field("workers", "int", "A fixed number of workers.", minimum=0),
    Field("min_workers", "int", "Fewest workers.", minimum=0),
    Field("max_workers", "int", "Most workers.", minimum=0),
    Field("queue_length_threshold", "int", "Waiting jobs from which on workers are added.", minimum=1),
    Field("upscale_delay_seconds", "number", "How long before workers are added.", minimum=0),
    Field("downscale_delay_seconds", "number", "How long before workers are taken away.", minimum=0),
), note="is for job pools; a launch ignores it", check=_pool_rules)  # fmt: skip
