"""The programs of the user's machine that we call: where they are, which versions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

from kubectl_sky.checks.findings import OK, PROBLEM, WARNING, Finding

SECONDS = 5  # a program that takes longer to say its version is broken


def check_kubectl() -> Finding:
    text = "kubectl was not found on PATH: files cannot be sent, exec and ssh do not work"
    if not shutil.which("kubectl"):
        return Finding("kubectl", PROBLEM, text, "https://kubernetes.io/docs/tasks/tools/")
    said = _output("kubectl", "version", "--client", "-o", "json")
    try:
        version = json.loads(said)["clientVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return Finding("kubectl", WARNING, "kubectl does not tell its version", "try: kubectl version --client")
    return Finding("kubectl", OK, f"kubectl {version.removeprefix('v')}")


def check_ssh() -> Finding:
    if not shutil.which("ssh"):
        text = "ssh was not found on PATH: kubectl sky ssh does not work; everything else does"
        return Finding("ssh", WARNING, text, "install OpenSSH's client")
    found = re.search(r"OpenSSH\S*(?: [\d.p]+)?", _output("ssh", "-V"))
    return Finding("ssh", OK, (found[0] if found else "ssh").replace("_", " ").rstrip(","))


def _output(*argv: str) -> str:
    """stdout and stderr together, as far as there is any."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            encoding="utf-8",
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout
