"""Keeps the files of a task's pods as they are here, and runs its command again if that is wanted."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from kubectl_sky import running
from kubectl_sky.conversation import Broken
from kubectl_sky.dev.changes import Change
from kubectl_sky.dev.ready import Ready
from kubectl_sky.dev.run import Run, tell
from kubectl_sky.dev.watching import Watch
from kubectl_sky.errors import EXIT_INTERRUPT, Failure
from kubectl_sky.files import collect, uploading
from kubectl_sky.output import Progress
from kubectl_sky.sync import Stalled

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

CHECK = 15.0  # s between two looks at whether the task is still up
PAUSES = (0.3, 1.0, 2.0, 5.0)  # s between attempts to reach it
NAMED = 3  # files that a line names


class Live:
    """`run` is what follows the task's job, if anything; with `restart` a change starts it again."""

    def __init__(self, cluster: Cluster, name: str, nodes: int, watch: Watch, run: Run | None, restart: bool):
        self.cluster, self.name, self.nodes = cluster, name, nodes
        self.watch, self.run, self.restart = watch, run, restart
        self._find = running.Head(cluster, name)
        self._head = ""  # node 0's pod
        self._ready = Ready(lambda: uploading.to_nodes(cluster, self._head, nodes, at_work=True))
        self._checked = time.monotonic()
        self._failed = 0  # attempts in a row
        self._due = False  # the run is to start again

    def loop(self) -> int:
        """Until Ctrl-C. Raises Failure when the task is over."""
        try:
            self._greet()  # here: who reads it may press Ctrl-C at once
            self._check_now()
            while True:
                if self._head:
                    self._ready.prepare()
                if self.watch.wait(CHECK):
                    self.look()
                self.check()
        except KeyboardInterrupt:
            print(f"\nStopped watching; {self.name} goes on. End it: {self._command('down')}", file=sys.stderr)
            return EXIT_INTERRUPT
        finally:
            self.watch.close()
            self._ready.close()
            if self.run:
                self.run.stop()

    def _greet(self) -> None:
        for mount in self.watch.mounts:
            place = f"{self.name}:{mount.destination}"
            tell(f"Watching {mount.source}: its changes go to {place} (Ctrl-C ends that, {self.name} goes on)")

    def look(self) -> None:
        """Sends what has changed. Raises Failure when the task is over."""
        try:
            found, change = self.watch.look()
            if change:
                self._send(found, change)
            if self._due and self.run:
                self.run.again()
                self._due = False
        except (Stalled, Broken) as failure:
            self._again(failure)
        except collect.NotReadable as failure:
            tell(failure.message)  # the next change may mend it
        except Failure as failure:
            self._check_now()
            tell("\n".join(filter(None, ("not sent: " + failure.message, failure.hint))))

    def check(self) -> None:
        """Now and then: whether the task is still up, in the same pods. Raises Failure when it is over."""
        if time.monotonic() - self._checked > CHECK:
            self._check_now()

    def first(self) -> None:
        """Sends all, before anything runs. Raises Failure."""
        found, change = self.watch.look()
        assert change
        with Progress() as progress:
            uploading.send(self.cluster, change.files, self._pod(), self.nodes, progress)
        self.watch.sent = found

    def _send(self, found: collect.Files, change: Change) -> None:
        self._due |= self.restart and change.matters
        began = time.monotonic()
        with Progress() as progress:
            self._pod()
            uploading.stream(self._ready.take, change.files, progress, patience=0)
        self.watch.sent, self.watch.everything, self._failed = found, False, 0
        if change.names:
            more = f" and {len(change.names) - NAMED} more" if len(change.names) > NAMED else ""
            then = "; running again" if self._due else ""
            tell(f"Sent {', '.join(change.names[:NAMED])}{more} ({time.monotonic() - began:.1f} s){then}")

    def _again(self, failure: Failure) -> None:
        if not self._failed:
            tell(f"reconnecting: {failure.message}")
        self._lost()
        time.sleep(PAUSES[min(self._failed, len(PAUSES) - 1)])
        self._failed += 1
        self.watch.again()

    def _check_now(self) -> None:
        self._checked = time.monotonic()
        try:
            pod = self._find()
        except Broken:
            return
        if self._head and pod != self._head:
            self._lost()
            self.watch.again()
        self._head = pod

    def _lost(self) -> None:
        """What is known of the pods may not hold any more."""
        self._ready.close()
        self._head, self.watch.everything = "", True

    def _pod(self) -> str:
        self._head = self._head or self._find()
        return self._head

    def _command(self, verb: str) -> str:
        return self.cluster.connection.command(verb, self.name)
