"""Which waiting jobs start now, and on which nodes and GPUs: a pure decision."""

from collections import namedtuple

DEFAULT_CPUS = 0.5  # of a job that says nothing, as in SkyPilot: light ones run side by side
EPSILON = 1e-6

# `nodes` many, each with so many CPUs, GiB of memory, and GPUs (below 1: a part of one); `head`: node 0 among them
Demand = namedtuple("Demand", "nodes cpus memory gpus head", defaults=(False,))
# what one node has left; `gpus` is the free part of each of its GPUs, by number
Free = namedtuple("Free", "rank up cpus memory gpus")
# a node of a job, and the numbers of the GPUs that it may use there
Place = namedtuple("Place", "rank gpus")


def demand(spec, task):
    """Of a job's spec, on nodes as `task` says they are.

    One that asks for more CPUs or memory than a node has gets all of it: it cannot have more anywhere.
    """
    cpus = DEFAULT_CPUS if spec.get("cpus") is None else spec["cpus"]
    memory = spec.get("memory") or 0
    return Demand(
        spec.get("num_nodes") or task["num_nodes"],
        min(cpus, node_cpus(task)),
        min(memory, task.get("memory") or memory),
        spec.get("gpus") or 0,
        bool(spec.get("tty")),
    )


def node_cpus(task):
    """What the queue counts with: light jobs run beside each other on a node with little, too."""
    return max(task["cpus"], 1)


def impossible(wanted, count, node):
    """Why `count` nodes like `node` (Free, with nothing taken) can never run it; None when they can."""
    if wanted.nodes > count:
        return "it asks for %d nodes; there are %d" % (wanted.nodes, count)
    if wanted.gpus > len(node.gpus):
        return "it asks for %g GPU%s a node; each has %d" % (wanted.gpus, "s" * (wanted.gpus > 1), len(node.gpus))
    return None


def decide(waiting, free):
    """(starts, reasons) for `waiting`, a list of (key, Demand), first come first served, on `free`, a list of Free.

    starts is [(key, [Place])]; reasons is {key: why it waits}. A job that waits for some kind of thing holds back all
    later ones that want that kind too, so that a big one's turn comes.
    """
    free = {node.rank: node for node in free}
    starts, reasons = [], {}
    short: set = set()
    for key, wanted in waiting:
        held = short & kinds(wanted)
        places = None if held else _places(wanted, free.values())
        if places is None:
            if not held:
                held = _short(wanted, free.values())
                short |= held
            reasons[key] = "waiting for %s in use by earlier jobs" % " and ".join(sorted(held))
            continue
        for place in places:
            free[place.rank] = take(free[place.rank], wanted, place.gpus)
        starts.append((key, places))
    return starts, reasons


def kinds(wanted):
    return {kind for kind, asked in (("CPUs", wanted.cpus), ("memory", wanted.memory), ("GPUs", wanted.gpus)) if asked}


def take(node, wanted, gpus):
    """What is left of a node with one more job on it."""
    share = min(wanted.gpus, 1.0)
    left = [part - share if number in gpus else part for number, part in enumerate(node.gpus)]
    return node._replace(cpus=node.cpus - wanted.cpus, memory=node.memory - wanted.memory, gpus=left)


def _places(wanted, nodes):
    """Where it fits: up nodes first, then those with the least to spare, which keeps room for big jobs together."""
    fitting = [node for node in nodes if _fits(wanted, node)]
    if len(fitting) < wanted.nodes:
        return None
    if wanted.head and all(node.rank for node in fitting):
        return None  # terminals are on node 0, where people are
    fitting.sort(key=lambda node: (wanted.head and node.rank > 0, not node.up, sum(node.gpus), node.cpus, node.rank))
    chosen = sorted(fitting[: wanted.nodes], key=lambda node: node.rank)
    return [Place(node.rank, _gpus(wanted.gpus, node.gpus)) for node in chosen]


def _fits(wanted, node):
    return (
        wanted.cpus <= node.cpus + EPSILON
        and wanted.memory <= node.memory + EPSILON
        and _gpus(wanted.gpus, node.gpus) is not None
    )


def _gpus(wanted, parts):
    """The numbers of the GPUs to use, or None; a part of a GPU goes where the least is left that is enough."""
    if not wanted:
        return []
    if wanted < 1:
        enough = [(part, number) for number, part in enumerate(parts) if part >= wanted - EPSILON]
        return [min(enough)[1]] if enough else None
    whole = [number for number, part in enumerate(parts) if part > 1 - EPSILON]
    return whole[: int(wanted)] if len(whole) >= wanted else None


def _short(wanted, nodes):
    """The kinds of which too few nodes have enough; all that it wants when it is only their combination."""
    alone = {
        "CPUs": wanted._replace(memory=0, gpus=0),
        "memory": wanted._replace(cpus=0, gpus=0),
        "GPUs": wanted._replace(cpus=0, memory=0),
    }
    nodes = list(nodes)
    short = {kind for kind in kinds(wanted) if sum(_fits(alone[kind], node) for node in nodes) < wanted.nodes}
    return short or kinds(wanted)
