"""The scheduler's message taken apart: `0/8 nodes are available: 5 Insufficient cpu, 3 node(s) had …`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from kubectl_sky.capacity import placing_words
from kubectl_sky.diagnosis import kai, volcano

# what kinds of clauses say nothing that a look at the nodes does not say better
SEEN_ON_NODES = frozenset({"room", "taint", "cordoned", "labels"})


class Clause(NamedTuple):
    """`nodes` of them (0: all) cannot take the pod for it; `kind` is one of those in _CLAUSES."""

    nodes: int
    kind: str
    text: str
    hint: str


@dataclass(frozen=True)
class Verdict:
    """`total` nodes, none of which can take the pod, and why each cannot.

    `queue`: that its queue does not let it, whatever the nodes have; `room`: that not all of its group have a place.
    """

    total: int
    clauses: tuple[Clause, ...]
    queue: str = ""
    room: str = ""

    def sentence(self) -> str:
        if self.queue or self.room:
            then = f", and then of {self.total} nodes " + "; ".join(one.text for one in self.clauses)
            return self.queue or self.room + (then if self.clauses else "")
        if not self.clauses:
            return "no node can take it"
        head = f"none of {self.total} nodes can take it" if self.total > 1 else "the only node cannot take it"
        return f"{head if self.total else 'it cannot be placed'}: {'; '.join(one.text for one in self.clauses)}"

    def hints(self) -> list[str]:
        return list(dict.fromkeys(one.hint for one in self.clauses if one.hint))


_SPREAD = "more nodes, or fewer --num-nodes; or drop the rule from config.kubernetes.pod_config"
_VOLUME = "see where its volumes are: kubectl get pvc, pv; kubectl describe pv"
# (kind, pattern, text after the count, hint); {have}: `has` or `have`, and so on
_CLAUSES = (
    ("room", r"Insufficient (?P<key>\S+)", "{have} too little {what} free", "{ask}"),
    ("room", r"Too many pods", "{have} as many pods as {they} may have", "wait until some end, or add nodes"),
    ("taint", r"node\(s\) had (?:untolerated )?taint\(?s?\)? \{(?P<key>[^:}]+): ?(?P<value>[^}]*)\}.*",
     "{have} the taint {taint}", "{tolerate}"),
    ("taint", r"node\(s\) had (?:untolerated )?taint\(?s?\)?.*", "{have} taints that it does not tolerate",
     "see them: kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints"),
    ("cordoned", r"node\(s\) were unschedulable", "{are} cordoned",
     "kubectl get nodes; kubectl uncordon NODE, if you may"),
    ("labels", r"node\(s\) didn't match (?:Pod's )?node (?:affinity|selector)\S*",
     "lack{s} the labels that it requires", "change what it requires; see: kubectl get nodes --show-labels"),
    ("labels", r"node\(s\) didn't match the requested node name", "{are} not the one that it names",
     "correct nodeName"),
    ("ports", r"node\(s\) didn't have free ports.*", "{have} the ports that it wants in use (hostPort, hostNetwork)",
     "end what uses them, or drop hostPort from config.kubernetes.pod_config"),
    ("spread", r"node\(s\) didn't match pod topology spread constraints \(missing required label\)",
     "{have} not the label that its topologySpreadConstraints go by",
     "correct topologyKey in config.kubernetes.pod_config: kubectl get nodes --show-labels"),
    ("spread", r"node\(s\) didn't match pod topology spread constraints.*",
     "would make its spread uneven (topologySpreadConstraints)", _SPREAD),
    ("neighbours", r"node\(s\) didn't (?:match pod anti-affinity|satisfy existing pods anti-affinity) rules.*",
     "already {have} a pod that it must not be beside (pod anti-affinity)", _SPREAD),
    ("neighbours", r"node\(s\) didn't match pod affinity rules.*",
     "{have} no pod beside which it must be (pod affinity)",
     "is there such a pod? kubectl get pods --show-labels; or drop podAffinity from config.kubernetes.pod_config"),
    ("volume", r"node\(s\) (?:had volume node affinity conflict|didn't match PersistentVolume's node affinity)",
     "cannot reach its volume (it is bound to another node or zone)", _VOLUME),
    ("volume", r"node\(s\) (?:had no available volume zone|had no available volume zone.*)",
     "{are} in another zone than its volume", _VOLUME),
    ("volume", r"node\(s\) exceed max volume count", "{have} as many volumes as {they} can have", "add nodes"),
    ("volume", r"node\(s\) didn't find available persistent volumes to bind",
     "{have} no volume for its claim", "make one, or correct the claim's storage class: kubectl get pv, pvc"),
    ("volume", r"node\(s\) did not have enough free storage", "{have} too little storage for its volumes", _VOLUME),
    ("claim", r"cannot allocate all claims", "{have} not the devices free that its resource claims ask for",
     "see them: kubectl get resourceclaims, resourceslices"),
)  # fmt: skip
_ASK = {"cpu": "--cpus", "memory": "--memory", "ephemeral-storage": "--disk-size"}


def taken_apart(message: str, wants: str = "") -> Verdict:
    """The clauses of a scheduler's message, in words; what is not known is given as it is.

    `wants`: the labels that the pod requires.
    """
    said = kai.read(message) or volcano.read(message)
    if said and said.queue:
        return Verdict(0, (Clause(0, "queue", said.queue, said.hint),), queue=said.queue)
    if said:
        message = said.nodes
    text = re.sub(r"\.? preemption: .*", "", message.strip(), flags=re.S).rstrip(". ")
    found = re.match(r"\d+/(\d+) nodes? (?:are|is) available:? ?(.*)", text, re.S)
    if not found:
        return Verdict(0, (Clause(0, "other", text, ""),) if text else (), room=said.room if said else "")
    clauses = [_clause(one, wants) for one in re.split(r", (?=\d+ )", found[2]) if one]
    ordered = tuple(sorted(clauses, key=lambda one: -one.nodes))
    return Verdict(int(found[1]), ordered, room=said.room if said else "")


def _clause(text: str, wants: str) -> Clause:
    numbered = re.match(r"(\d+) (.*)", text, re.S)
    count, said = (int(numbered[1]), numbered[2]) if numbered else (0, text)
    for kind, pattern, words, hint in _CLAUSES:
        if found := re.match(pattern, said):
            made = _told(count, kind, words, hint, found.groupdict())
            return made._replace(text=f"{made.text}: {wants}") if kind == "labels" and wants else made
    return Clause(count, "other", f"{count}: {said}" if count else said, "")


def _told(count: int, kind: str, words: str, hint: str, found: dict[str, str]) -> Clause:
    one, key = count == 1, found.get("key", "")
    flag = _ASK.get(key, "--gpus")
    values = {
        "have": "has" if one else "have",
        "are": "is" if one else "are",
        "s": "s" if one else "",
        "they": "it" if one else "they",
        "what": {"cpu": "CPU", "ephemeral-storage": "disk"}.get(key, key),
        "ask": f"wait until something ends, ask for less ({flag}), or add nodes: kubectl sky status -A",
    }
    if kind == "taint" and key:
        values["taint"] = f"{key}={found['value']}" if found.get("value") else key
        values["tolerate"] = placing_words.tolerate(f"{values['taint']}:NoSchedule")
    text = f"{count} {words.format(**values)}" if count else words.format(**values)
    return Clause(count, kind, text, hint.format(**values) if hint in ("{ask}", "{tolerate}") else hint)
