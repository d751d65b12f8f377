"""kubectl sky label-gpus"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.api.connection import Connection
from kubectl_sky.errors import EXIT_INTERRUPT, ApiError, Failure, UsageError
from kubectl_sky.output import Format, Progress, listing, near, parse_duration, table

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.labeler import ProbeOptions, Step

NAMESPACE = "kube-system"
DONE = {"keep": "kept", "label": "labelled", "probe": "pending", "fail": "failed"}
TO_DO = {"keep": "keep", "label": "label", "probe": "probe", "fail": "none"}


def label_gpus(
    ctx: typer.Context,
    wanted: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", help="Only these nodes")] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="IMAGE", help="Of the probes (default: ours)")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also nodes that have the label already")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait; else run it again later to label")] = True,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long to wait, e.g. 90s or 10m")] = "5m",
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Delete the labeler's jobs, and no more")] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
) -> int:
    """Label nodes with their GPUs: skypilot.co/accelerator, as SkyPilot reads it.

    Nodes whose GPU another label or the machine type tells are labelled at once. On each of the others a small job
    (in kube-system, or -n) looks for it; it asks for no GPU, so it runs on full nodes too. Can be run again any time.

    \b
    Examples:
      kubectl sky label-gpus
      kubectl sky label-gpus --dry-run
      kubectl sky label-gpus node-7 --overwrite
      kubectl label nodes --all skypilot.co/accelerator- skypilot.co/accelerators-   # undo
    """
    from kubectl_sky import kube

    form = Format.parse(output, Format.TABLE, Format.JSON, Format.YAML)
    seconds = limit(timeout) if wait else None
    cluster = kube.connect(replace(ctx.obj, namespace=ctx.obj.namespace or NAMESPACE))
    try:
        if cleanup:
            return clean(cluster, wanted or ())
        return Run(cluster, form, dry_run, seconds, image).run(wanted or (), overwrite)
    except ApiError as error:
        raise with_rules(error, cluster.namespace) from None
    except KeyboardInterrupt:
        raise interrupted(cluster) from None


def limit(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None


def with_rules(error: ApiError, namespace: str) -> ApiError:
    """A refusal, with all the rules that this verb needs rather than the one that was missing first."""
    from kubectl_sky import labeler

    if error.status != 403 or " may not " not in error.message:
        return error
    rules = labeler.RULES.format(namespace=namespace)
    return ApiError(error.status, error.reason, error.message, f"ask your administrator for these rules:\n{rules}")


def interrupted(cluster: Cluster) -> Failure:
    again = connection_of_user(cluster).command("label-gpus")
    hint = f"its jobs go on: `{again}` waits for their results, `{again} --cleanup` deletes them"
    return Failure("interrupted", hint, EXIT_INTERRUPT)


def connection_of_user(cluster: Cluster) -> Connection:
    """The connection as it was given: without the namespace that is the default."""
    given = cluster.connection
    return replace(given, namespace=None) if given.namespace == NAMESPACE else given


def clean(cluster: Cluster, wanted: Sequence[str]) -> int:
    """Deletes the labeler's jobs, SkyPilot's too (unless nodes were named)."""
    from kubectl_sky.labels import labeling

    found = labeling.jobs(cluster)["items"]
    names = [job["metadata"]["name"] for job in found if not wanted or labeling.node_of(job) in wanted]
    labeling.delete(cluster, names)
    for name in names:
        print(f"Deleted GPU labeler job {name}")
    if not names:
        print(f"No GPU labeler jobs in namespace {cluster.namespace}.", file=sys.stderr)
    return 0


class Run:
    """One run of the verb. `seconds` None: without waiting for the probes."""

    def __init__(self, cluster: Cluster, form: Format, dry_run: bool, seconds: float | None, image: str | None):
        self.cluster, self.form, self.dry_run, self.seconds, self.image = cluster, form, dry_run, seconds, image
        self.out = sys.stdout if form is Format.TABLE else sys.stderr

    def run(self, wanted: Sequence[str], overwrite: bool) -> int:
        from kubectl_sky import labeler
        from kubectl_sky.capacity import inventory
        from kubectl_sky.labels import labeling

        found = inventory.read(self.cluster, with_pods=False)
        if found.nodes is None:
            raise ApiError(403, "Forbidden", found.why_not)
        names = [node.name for node in found.nodes]
        absent = [name for name in wanted if name not in names]
        if absent:
            raise Failure(f"there is no node {absent[0]!r}", near(absent[0], names))
        steps = labeler.plan(found.nodes, wanted, overwrite)
        if self.dry_run:
            return self.show_plan(steps, len(names))
        labeling.tidy(self.cluster, [step.node for step in steps if step.action == labeler.KEEP])
        if not steps or all(step.action == labeler.KEEP for step in steps):
            return self.nothing_to_do(steps, len(names))
        return self.do(steps, names)

    def do(self, steps: Sequence[Step], names: Sequence[str]) -> int:
        from kubectl_sky import labeler
        from kubectl_sky.labels import labeling

        probed = [step for step in steps if step.action == labeler.PROBE]
        to_label = [step for step in steps if step.action == labeler.LABEL]
        done = [step for step in steps if step.action in (labeler.KEEP, labeler.FAIL)]
        for step in [*to_label, *probed][:1]:
            labeling.check_rights(self.cluster, step.node)
        for step in done:
            if step.action == labeler.FAIL:
                self.tell(step)
        done += labeling.label(self.cluster, to_label, self.tell)
        if probed:
            done += self.probe(probed, names)
        return self.finish(done)

    def probe(self, steps: Sequence[Step], names: Sequence[str]) -> list[Step]:
        """Probes the nodes; returns their steps as they ended (as they are, without waiting)."""
        from kubectl_sky.labels import probing

        probes = probing.Probes(self.cluster, self.options())
        for one in probes.start(steps, names):
            self.say(f"{'Created' if one.is_new else 'Found'} GPU labeler job for node {one.step.node}")
        if probes.fell_back:
            self.say("Privileged pods are not allowed: GPUs are looked for in /proc and /sys")
        self.say("GPU labeling started - this may take a few minutes to complete.")
        context = self.cluster.connection.context
        place = f" --context {shlex.quote(context)}" if context else ""
        jobs = f"kubectl get jobs -n {self.cluster.namespace} -l job=sky-gpu-labeler{place}"
        self.say(f"To check the status of GPU labeling jobs, run `{jobs}`")
        if self.seconds is None:
            again = connection_of_user(self.cluster).command("label-gpus")
            self.say(f"To label the nodes when they are done, run `{again}` again")
            return list(steps)
        with Progress() as progress:
            return probes.wait(self.seconds, progress, lambda step: self.tell(step, progress))

    def options(self) -> ProbeOptions:
        """How nodes are probed."""
        from kubectl_sky import labeler, settings
        from kubectl_sky.labels import labeling

        own = settings.load()
        privileged = labeling.may_be_privileged(self.cluster)
        image = self.image or own.own_image(own.runtime_image)
        return labeler.ProbeOptions(self.cluster.namespace, image, own.image_pull_policy, privileged)

    # -- telling ----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def tell(self, step: Step, progress: Progress | None = None) -> None:
        """A node that is done: a line on stdout, or on stderr when it failed."""
        to = sys.stderr if step.action in ("fail", "probe") else self.out
        if progress and progress.live and to.isatty():
            progress.line(sentence(step))  # it clears its own line first
        else:
            print(sentence(step), file=to, flush=True)

    def finish(self, steps: Sequence[Step]) -> int:
        """The summary; exit code 1 when a node has no label now that should have one."""
        pending = [step for step in steps if step.action == "probe"]
        failed = [step for step in steps if step.action == "fail" or (step in pending and self.seconds is not None)]
        self.objects(steps, DONE)
        if pending and self.seconds is None:
            return 1 if failed else 0
        counts = [
            (sum(step.action == "label" for step in steps), "labelled"),
            (sum(step.action == "keep" for step in steps), "labelled already"),
            (len(failed), "not labelled"),
        ]
        text = ", ".join(f"{count} {word}" for count, word in counts if count)
        self.say(f"GPU labeling {'completed' if not failed else 'ended'}: {text}.")
        return 1 if failed else 0

    def show_plan(self, steps: Sequence[Step], total: int) -> int:
        if self.form is not Format.TABLE:
            self.objects(steps, TO_DO)
        elif not steps:
            return self.nothing_to_do(steps, total)
        else:
            rows = [(step.node, TO_DO[step.action], step.gpu, told_by(step)) for step in steps]
            print(table(rows, ("node", "would", "gpu", "told by")), end="")
            self.notes(steps)
        return 0

    def nothing_to_do(self, steps: Sequence[Step], total: int) -> int:
        self.objects(steps, DONE)
        if not steps:
            self.say(f"No GPU nodes found: none of the {total} nodes offers GPUs, or has a label that tells of one.")
            print("is the GPU vendor's device plugin installed? A node that is named is looked at in any case: "
                  "kubectl sky label-gpus NODE", file=sys.stderr)  # fmt: skip
            return 0
        if self.form is Format.TABLE:
            print(table([(step.node, step.gpu, step.source) for step in steps], ("node", "gpu", "told by")), end="")
        self.notes(steps)
        self.say("Nothing to do: all GPU nodes are labelled already.")
        return 0

    def notes(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.note and step.action == "keep":
                print(f"{step.node}: {step.note}", file=sys.stderr)

    def objects(self, steps: Sequence[Step], words: dict[str, str]) -> None:
        """With -o json or yaml: every node with what was (or would be) done."""
        if self.form is Format.TABLE:
            return
        key = "action" if words is TO_DO else "status"
        found = [
            {
                "node": step.node,
                key: words[step.action],
                "accelerator": step.gpu,
                "label": step.value,
                "source": step.source,
                "product": step.product,
                "message": step.note,
                "hint": step.hint,
            }
            for step in sorted(steps, key=lambda one: one.node)
        ]
        print(listing(found, self.form), end="")


def told_by(step: Step) -> str:
    return step.source or step.note or "a job on the node"


def sentence(step: Step) -> str:
    """How a node ended, as a line: `node-1: labelled a100-80gb (NVIDIA A100-SXM4-80GB, nvidia-smi of the node)`."""
    if step.action in ("fail", "probe"):
        return f"{step.node}: not labelled: {step.note}" + (f"\n  {step.hint}" if step.hint else "")
    word = "labelled" if step.action == "label" else "was labelled"
    told = ", ".join(part for part in (step.product, step.source) if part)
    warning = f"\n  warning: {step.note}" if step.note else ""
    return f"{step.node}: {word} {step.value} ({told}){warning}"
