"""What is played of the documents' transcripts (test_transcripts.py) and what is there before; what is not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SMALL = "resources: {cpus: 0.1, memory: 0.2}\n"


@dataclass(frozen=True)
class Scene:
    """Blocks of a page, by their number, that are played one after the other. Commands go by how they begin.

    before, after  typed first, and last
    meanwhile      command -> what is typed before it
    beside         commands that go on while the next ones are typed; what they print is compared at the end
    keys           command -> it has a terminal: what it shows, and what is typed then
    files          written first; ~ is the home
    """

    blocks: tuple[int, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    meanwhile: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


JOB_GROUP = (
    "name: rlhf\nexecution: parallel\n"
    + f"---\nname: rewards\n{SMALL}run: timeout -s INT 8 python3 -um http.server 8000 2>/dev/null || true\n"
    + f"---\nname: trainer\nnum_nodes: 2\n{SMALL}run: |\n"
    + "  until python3 -c 'import urllib.request as r; r.urlopen(\"http://rewards-0.rlhf:8000\")'; do sleep 0.5; done\n"
    + "  echo $SKYPILOT_NODE_RANK has rewards of rewards-0.rlhf\n"
)
PIPELINE = (
    "name: pipe\n"
    + f"---\nname: prepare\n{SMALL}run: echo prepared\n"
    + f"---\nname: train\n{SMALL}run: echo trained; exit 3\n"
    + f"---\nname: report\n{SMALL}run: echo never\n"
)
STEPS = f"name: train\n{SMALL}run: for i in $(seq 8); do echo step $i; sleep 1; done\n"
WRONG_FIELD = (
    "name: t\nresources:\n  cpus: 0.1\nrun: 'true'\nenvs:\n  A: b\n  C: d\n"
    + "config:\n  kubernetes:\n    pod_config:\n      spec:\n        nodeSelecter: {a: b}\n"
)
TOY_MODEL = "head -c 5000000 /dev/zero > model.pt"
DEV = f"name: dev\nworkdir: src\n{SMALL}run: cat train.py\n"
WITH_LITTLE_ROOM = """name: train
num_nodes: 2
workdir: src
resources: {cpus: 1.5, memory: 0.5}
setup: |
  printf '#!/bin/sh\\necho H100\\n' > /usr/local/bin/nvidia-smi
  chmod +x /usr/local/bin/nvidia-smi
  mkdir -p results && echo log > /tmp/a.log
config:
  kubernetes:
    pod_config:
      spec:
        containers: [{volumeMounts: [{name: mnt, mountPath: /mnt}]}]
        volumes: [{name: mnt, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
"""
OF_ANN = """# of Ann
kubernetes:
  namespace: team-a
  custom_metadata:
    labels:
      # for the bill
      team: ml
  pod_config:
    spec:
      containers:
        - env:
            # to the internet
            - name: HTTP_PROXY
              value: http://proxy:3128
"""
QUEUED = "config:\n  kubernetes:\n    kueue:\n      local_queue_name: team-q\nrun: 'true'\n"
ON_NODE_1 = "config: {kubernetes: {pod_config: {spec: {nodeSelector: {kubernetes.io/hostname: node-1}}}}}\n"
# slow enough for its progress to be seen
WITH_BUCKET = f"""name: train
{SMALL}config:
  kubernetes:
    pod_config: {{spec: {{initContainers: [{{name: buckets, env: [{{name: RCLONE_BWLIMIT, value: 30M}}]}}]}}}}
"""
PRICES = "pricing:\n  cpu: 0.05\n  accelerators: {H100: 5, A10G: 1.4}\n"
IN_QUEUE = "--config kubernetes.kueue.local_queue_name=team-a"
URGENT = (
    "name: {name}\nresources:\n  cpus: 0.8\n  memory: 1\n  labels:\n    kueue.x-k8s.io/queue-name: team-a\n"
    + "    kueue.x-k8s.io/priority-class: urgent\nrun: {run}\n"
)
UNLABEL = "kubectl label node --all skypilot.co/accelerator- skypilot.co/accelerators-"
READY = "kubectl wait --for=condition=Ready pod --all --timeout=60s"
DOWN = "kubectl sky down --all -y"

# files for the commands of tables
IN_TABLES = {
    "task.yaml": "name: train\nnum_nodes: 2\nworkdir: .\nresources: {cpus: 0.6, memory: 0.2, ports: 8080}\nrun: ls\n",
    "volume.yaml": "name: data\ntype: k8s-hostpath\nconfig: {host_path: /srv/data}\n",
    "job.sh": "echo task $TASK_ID\n",
    "x.py": "print('x')\n",
}

PLAYED: dict[str, list[Scene]] = {
    "queue.md": [Scene((0, 1, 2))],
    "multi-node.md": [
        Scene((0,), after=(DOWN,)),
        Scene((1,), after=(DOWN,)),
        Scene((2,), after=(DOWN,)),
        Scene((3,)),
        Scene(
            (4, 5),
            beside=("kubectl sky launch -c pair",),
            meanwhile={
                "kubectl sky exec -d pair": (
                    "until kubectl sky logs pair --no-follow | grep rank=1; do sleep 0.2; done",
                ),
                "kubectl sky queue pair": ("until kubectl sky queue pair | grep SUCCEEDED; do sleep 0.5; done",),
            },
            after=(DOWN,),
        ),
    ],
    "lifecycle.md": [
        Scene(
            (0, 1),
            before=(
                "kubectl sky launch dev.yaml",
                "kubectl sky launch -c train --cpus 0.5 --memory 1 -i 30 --down -- true",
            ),
            files={"dev.yaml": "name: dev\nresources: {cpus: 1, memory: 1}\nsetup: sleep 2; echo ready\nrun: 'true'\n"},
            after=(DOWN,),
        ),
        Scene(
            (2,),
            before=(
                "kubectl sky launch -c dev --cpus 0.2 --memory 0.2 -- true",
                "kubectl sky jobs launch --num-jobs 3 --name sweep --cpus 0.2 --memory 0.2 -- sleep 3",
            ),
            files={"~/.config/kubectl-sky/config.yaml": "pricing: {cpu: 36}\n"},
            after=(DOWN,),
        ),
        Scene(
            (3,),
            before=("kubectl sky jobs launch -d eph.yaml", READY),
            meanwhile={"kubectl sky gc --older-than 0s -y --volumes": ("kubectl wait --for=delete pod --all",)},
            files={
                "eph.yaml": f"name: eph\nworkdir: work\n{SMALL}"
                + "volumes: {/v: {size: 1Gi, config: {storage_class_name: shared, access_mode: ReadWriteMany}}}\n"
                + "run: sleep 600\n",
                "work/file": "of mine\n",
            },
        ),
        Scene((4,), before=("kubectl apply -f old.json", READY)),
    ],
    "ports.md": [
        Scene((0,), before=("kubectl sky launch -d web.yaml",), after=("kubectl sky down web",),
              files={"web.yaml": "name: web\nresources: {cpus: 0.1, ports: 8080}\nrun: python3 -m http.server 8080\n"}),
        Scene((1, 2)),
    ],
    "jobs.md": [
        Scene((0,), files={"train.yaml": STEPS}, after=(DOWN,)),
        Scene((1, 2), files={"pipe.yaml": PIPELINE, "rlhf.yaml": JOB_GROUP}),
    ],
    "config.md": [
        Scene((0,), files={"~/.sky/config.yaml": OF_ANN, "task.yaml": QUEUED}, after=("rm ~/.sky/config.yaml",)),
        Scene((1,), files={"task.yaml": WRONG_FIELD}),
    ],
    "files.md": [
        Scene(
            (0,),
            files={
                "app.yaml": "name: app\nresources: {cpus: 0.1, image_id: sky-test/debian-nonroot:1}\n"
                + "file_mounts: {/data/x: ./x}\nrun: cat /data/x\n",
                "x": "mine\n",
            },
            after=(DOWN,),
        )
    ],
    "volumes.md": [
        Scene(
            (0,),
            before=("kubectl sky volumes apply models.yaml",),
            meanwhile={"kubectl sky volumes ls": ("kubectl sky launch -d train.yaml",)},
            files={
                "models.yaml": "name: models\ntype: k8s-hostpath\nconfig: {host_path: /srv/models}\n",
                "train.yaml": f"name: train\n{SMALL}volumes: {{/data: data}}\nrun: sleep 600\n{ON_NODE_1}",
            },
            after=(DOWN, "kubectl sky volumes delete -y data"),
        )
    ],
    "ssh.md": [
        Scene(
            (0, 1, 2, 3, 4),
            before=(
                TOY_MODEL,
                "kubectl sky launch train.yaml",
                "kubectl sky launch -c one --cpus 0.1 -- 'echo 1 > ~/model.pt'",
                "kubectl sky launch -c two --cpus 0.1 -- true",
                "mkdir logs; echo 1,2 > data.csv",
            ),
            files={"train.yaml": WITH_LITTLE_ROOM, "src/train.py": "print('trained')\n"},
        ),
        Scene((5,), files={"task.yaml": DEV}, after=("kubectl sky down dev",)),
        Scene(
            (6, 7),
            keys={
                "kubectl sky exec -it": (r"\(Pdb\)", "q\n"),
                "kubectl sky attach": (r"[#$] ", "\x10\x11"),
                "kubectl sky ssh --persist": (r"[#$] ", "exit\n"),
            },
            after=(DOWN,),
        ),
    ],
    "buckets.md": [
        Scene((0,), files={"train.yaml": WITH_BUCKET + "file_mounts: {/data: s3://sky-new}\n"}, after=(DOWN,)),
        Scene((1,), files={"train.yaml": WITH_BUCKET + "file_mounts: {/data: s3://sky-closed}\n"}, after=(DOWN,)),
    ],
    "gpus.md": [
        Scene(
            (0,),
            files={
                "~/.config/kubectl-sky/config.yaml": PRICES,
                "pick.yaml": "name: pick\nresources:\n  any_of:\n"
                + "    - {accelerators: B200:8}\n    - {accelerators: H100:2}\n    - {accelerators: A10G:1}\n"
                + "  use_spot: null\nrun: 'true'\n",
            },
            after=(DOWN, "rm ~/.config/kubectl-sky/config.yaml"),
        ),
        Scene(
            (1,),
            before=(
                "kubectl sky launch -d -c hold --gpus H100:8 -- sleep 600",
                "kubectl sky launch -d -c train --gpus H100:4 --provision-timeout 2s -- true || true",
            ),
            after=(DOWN,),
        ),
        Scene(
            (2,),
            before=(
                UNLABEL,
                "kubectl label node node-4 gpu.nvidia.com/class- gpu.nvidia.com/model-",
                "kubectl label node node-4 node.kubernetes.io/instance-type-",
                "mkdir -p /tmp/kubectl-sky-gpus",
                "echo NVIDIA H100 80GB HBM3, 81559 MiB > /tmp/kubectl-sky-gpus/node-4.csv",
            ),
            files={"~/.config/kubectl-sky/config.yaml": "runtime_image: sky-test/nvidia-smi:1\n"},
            after=(
                UNLABEL,
                "rm -r /tmp/kubectl-sky-gpus",
            ),
        ),
    ],
    "README.md": [Scene((0,), after=(DOWN,))],
    "kueue.md": [
        Scene(
            (0,),
            before=(
                "kubectl sky launch -d --down low.yaml",
            ),
            beside=("kubectl sky launch -c next",),
            meanwhile={
                "kubectl sky status": (
                    "until kubectl get job next; do sleep 0.2; done",
                    f"(kubectl sky launch -c third {IN_QUEUE} --cpus 0.8 --down -- true >third.log 2>&1 &)",
                )
            },
            after=(
                "sleep 5",  # the client beside looks again
                "(kubectl sky launch --down urgent.yaml >urgent.log 2>&1 &)",
                "sleep 6",
                "kubectl sky ssh low touch /tmp/go",
            ),
            files={
                "low.yaml": URGENT.format(name="low", run="until [ -e /tmp/go ]; do sleep 0.2; done"),
                "urgent.yaml": URGENT.format(name="urgent", run="sleep 3"),
            },
        ),
        Scene(
            (1,),
            beside=("kubectl sky launch -c low",),
            after=(
                "until kubectl sky logs low --no-follow | grep begun; do sleep 0.3; done",
                "kubectl sky launch --down urgent.yaml",
            ),
        ),
    ],
    "clusters.md": [
        Scene((0,), before=("kubectl create quota full --hard=pods=0 --context team-a",),
              after=("kubectl delete quota full --context team-a",)),
        Scene((1,), before=("kubectl sky launch -d -c train --cpus 0.5 --memory 1 --context team-a -- true",)),
        Scene((2,), before=("kubectl sky launch -d -c eval --cpus 0.5 --context team-a -- true",)),
        Scene(
            (3,),
            before=(
                "kubectl sky jobs launch --context team-a --name near --cpus 0.1 --memory 0.2 -- true",
                "kubectl sky jobs launch --context team-b --name far --cpus 0.1 --memory 0.2 -- true",
            ),
            meanwhile={
                "kubectl sky jobs cancel": (
                    "kubectl sky jobs launch -d --context team-a --name far --cpus 0.1 --memory 0.2 -- sleep 600",
                )
            },
        ),
    ],
    "images.md": [
        Scene((0,)),
        Scene((1, 2), files={"task.yaml": f"name: t\n{SMALL}run: 'true'\n"}),
    ],
    "performance.md": [Scene((0,))],
    "admin.md": [Scene((0,), before=("kubectl sky launch -c train --cpus 0.1 -- true",), after=(DOWN,))],
}  # fmt: skip

# (page, number of the block of `sh`) -> who runs it
SHELL_RUN_BY = {
    ("README.md", 0): "tests/e2e/test_readme.py; its second line is CI itself",
    ("README.md", 1): "tests/e2e/test_readme.py, tests/e2e/test_krew.py",
    ("README.md", 2): "tests/e2e/test_readme.py",
}

# (page, number of the block) -> why it is not
NOT_PLAYED: dict[tuple[str, int], str] = {
    ("kueue.md", 2): "KAI's controllers take minutes to build; tests/e2e/test_kai.py has each of these messages",
    ("queue.md", 3): "it is itself a test, of ten minutes: tests/e2e/test_chaos.py",
}
