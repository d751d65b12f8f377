"""Reading whole tasks: values, overrides, variables, paths, warnings."""

from pathlib import Path

import pytest

from kubectl_sky import hooks, task
from kubectl_sky.errors import UsageError
from kubectl_sky.task import Overrides


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


def parse(text, overrides=None, base=None):
    return task.parse(text, "task.yaml", overrides, base or Path("/"))


def one(text, **overrides):
    return parse(text, Overrides(**overrides))[0]


def problems(text, base=None, **overrides):
    with pytest.raises(task.TaskErrors) as caught:
        parse(text, Overrides(**overrides), base)
    return [str(problem) for problem in caught.value.problems]


def warnings(text, **overrides):
    return [str(problem) for problem in parse(text, Overrides(**overrides))[1]]


def test_null_is_as_if_it_was_not_written() -> None:
    text = """\
config: {hooks: [{run: x, events: null, timeout: null}], kubernetes: {pod_config: {spec: {dnsPolicy: null}}}}
file_mounts: {/a: {source: s3://b, store: null, mode: MOUNT_CACHED, config: {mount_cached: {transfers: null}}}}
volumes: {/v: {size: 1Gi, labels: null, config: {access_mode: null}}}
resources: {autostop: {idle_minutes: 5, hook: null}, any_of: [{cpus: null}]}
"""
    one = task.parse(text, "task.yaml")[0]
    assert hooks.of(one) == [{"run": "x", "events": list(hooks.EVENTS), "timeout": hooks.DEFAULT_SECONDS}]
    assert one.file_mounts[0].storage == {"source": "s3://b", "mode": "MOUNT_CACHED", "config": {"mount_cached": {}}}
    assert one.volumes == {"/v": {"size": "1Gi", "config": {}}}
    assert one.resources.autostop == task.Autostop(True, 5)
    # there it takes away what the pod would have
    assert one.config["kubernetes"] == {"pod_config": {"spec": {"dnsPolicy": None}}}


def test_a_whole_task(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "data.csv").write_text("x")
    found, warned = parse(
        """
name: train.1
workdir: src
num_nodes: 2
resources: {cpus: 4+, memory: 16GB, accelerators: "H100:8", image_id: "docker:a/b:1", ports: [8080]}
envs: {A: x, N: 5}
secrets: {TOKEN: t}
setup: |
  pip install x
run: python train.py
file_mounts:
  /data/d.csv: data.csv
  rel: ./src
  ~/x: "~"
config:
  kubernetes: {pod_config: {spec: {hostNetwork: true}}}
""",
        base=tmp_path,
    )
    assert warned == []
    assert (found.name, found.workdir, found.num_nodes) == ("train.1", tmp_path / "src", 2)
    assert (found.resources.cpus, found.resources.memory, found.resources.image_id) == (4, 16, "a/b:1")
    assert (found.envs, found.secrets) == ({"A": "x", "N": "5"}, {"TOKEN": "t"})
    assert (found.setup, found.run, found.command) == ("pip install x\n", "python train.py", ())
    mounts = [(mount.dst, mount.src, mount.is_local) for mount in found.file_mounts]
    assert mounts == [
        ("/data/d.csv", tmp_path / "data.csv", True),
        ("~/sky_workdir/rel", tmp_path / "src", True),
        ("~/x", tmp_path / "home", True),
    ]
    assert found.config == {"kubernetes": {"pod_config": {"spec": {"hostNetwork": True}}}}
    assert task.unsupported(found) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("experimental: {config_overrides: {docker: {}}}",
         "1:1: experimental.config_overrides: is the old form (write `config:` instead)"),
        ("resources: {cloud: k8s}", "1:20: resources.cloud: is the old form (write `infra: k8s` instead)"),
        ("resources: {cloud: Kubernetes, region: c}",
         "1:20: resources.cloud: is the old form (write `infra: k8s/c` instead)"),
        ("resources: {memory: 16GiB+}",
         'resources.memory: "16GiB+" is no form of SkyPilot\'s (the same in both: 16GB+)'),
        ("resources: {disk_size: 100gib}", 'disk_size: "100gib" is no form of SkyPilot\'s (the same in both: 100gb)'),
    ],
)  # fmt: skip
def test_old_forms_are_taken_with_one_warning(text, warning):
    told = [line for line in warnings(text + "\nrun: x") if "another cloud" not in line]
    assert len(told) == 1 and told[0].endswith(warning), told


def test_secrets_are_not_in_the_repr():
    assert "s3cr3t" not in repr(one("secrets: {T: s3cr3t}\nrun: x"))


def test_nulls_are_unset():
    found = one("name: null\nnum_nodes: null\nresources:\nenvs:\nsecrets:\nworkdir: null\nfile_mounts:\nrun: x")
    assert (found.num_nodes, found.envs, found.file_mounts) == (1, {}, ())


def test_without_a_file():
    found, _ = task.parse(None, "command line", Overrides(command=("nvidia-smi",), cpus="2+", gpus="A100:2"))
    assert (found.run, found.command) == ("nvidia-smi", ("nvidia-smi",))
    assert found.resources.accelerators[0].count == 2


@pytest.mark.parametrize(("command", "run"), [
    (("echo $HOME; ls",), "echo $HOME; ls"),
    (("echo", "a b", "$X"), "echo 'a b' '$X'"),
    (("echo", "it's"), "echo 'it'\"'\"'s'"),
])  # fmt: skip
def test_inline_commands(command, run):
    assert one(None, command=command).run == run


def test_command_and_run():
    assert problems("run: x", command=("ls",)) == [
        "task.yaml:1:6: run: a command after `--` cannot be given with a task file that has `run`"
    ]


YAML = "name: a\nnum_nodes: 2\nresources: {cpus: 1, gpus: T4, image_id: x, any_of: [{cpus: 3}, {gpus: L4}]}\nrun: x\n"


def test_overrides_win_also_over_alternatives():
    found = one(YAML, name="b", num_nodes=3, cpus="8", memory="9", gpus="H100:2", image_id="y")
    assert (found.name, found.num_nodes) == ("b", 3)
    for part in found.resources.any_of:
        assert (part.cpus, part.memory, part.image_id, str(part.accelerators[0])) == (8, 9, "y", "H100:2")
    assert len(found.resources.candidates()[0]) == 1


def test_none_takes_a_value_away():
    found = one(YAML, gpus="none", image_id="none", cpus="none")
    for part in (found.resources, *found.resources.any_of):
        assert (part.cpus, part.image_id, part.accelerators) == (None, None, ())


def test_flags_are_named_in_messages():
    assert problems("run: x", gpus="A100:x", cpus="-1", name="a b", num_nodes=0, workdir="/no/such") == [
        "--num-nodes: must be at least 1, not 0",
        "--cpus: must be positive, not -1",
        '--gpus: the count in "A100:x" should be a number, such as A100:8',
        '--name: "a b" should be letters and digits, with single or double `.`, `_` or `-` between',
        '--workdir: "/no/such" does not exist (looked at /no/such)',
    ]


def test_workdir_flag_replaces_git(tmp_path):
    found, _ = parse("workdir: {url: https://x/y}\nrun: x", Overrides(workdir="."), tmp_path)
    assert found.workdir == tmp_path


def test_envs_precedence_and_texts():
    text = "envs: {A: 1, B: null, C: true, D: 1.10, E: 'yes', F: ''}\nrun: x"
    envs = one(text, envs={"B": "b", "A": "a"}).envs
    assert envs == {"A": "a", "B": "b", "C": "True", "D": "1.1", "E": "yes", "F": ""}
    assert warnings(text, envs={"B": "b"}) == [
        'task.yaml:1:26: envs.C: `true` becomes the text "True" (put it in quotes to keep it)',
        'task.yaml:1:35: envs.D: `1.10` becomes the text "1.1" (put it in quotes to keep it)',
    ]


def test_secrets_are_not_in_warnings():
    assert warnings("secrets: {PIN: 0123}\nrun: x") == [
        "task.yaml:1:16: secrets.PIN: is not text: YAML changes how it is written (put it in quotes to keep it)"
    ]


def test_null_env_is_an_error_with_the_way_out():
    assert problems("envs: {B: null}") == [
        'task.yaml:1:11: envs.B: has no value (give it with --env B=VALUE, or write B: "" to have it empty)'
    ]
    assert problems("run: x", envs={"B": None, "1x": "y"}) == [
        "--env B: has no value (--env B=VALUE)",
        '--env 1x: "1x" is no name of an environment variable (letters, digits and _, not starting with a digit)',
    ]


def test_null_secrets_are_asked_for_at_launch():
    text = "secrets: {T: null, U: u}\nrun: x"
    found = one(text)
    assert found.secrets == {"U": "u"}
    assert [str(problem) for problem in task.unsupported(found)] == [
        "task.yaml:1:14: secrets.T: the secret T has no value (--secret T=VALUE)"
    ]
    given = one(text, secrets={"T": "t"})
    assert (given.secrets, task.unsupported(given)) == ({"U": "u", "T": "t"}, [])


def test_managed_secrets():
    found = one("secrets: ['secrets:personal.A']\nmanaged_secrets: [B, {global.C: {mount_path: /x}}]\nrun: x")
    assert [(ref.name, ref.scope, ref.mount_path) for ref in found.secret_refs] == [
        ("A", "personal", None), ("B", None, None), ("C", "global", "/x"),
    ]  # fmt: skip
    assert len(task.unsupported(found)) == 3


def test_variables_are_filled_in(tmp_path):
    (tmp_path / "x1").mkdir()
    text = """
envs: {N: x1, Q: 'a"b'}
secrets: {S: sec}
workdir: ./$N
file_mounts:
  /m/${N}b: ./${N}
  /b: {name: "$S-$UNKNOWN"}
volumes: {/v: "${N}-vol"}
run: echo $N
name: n
resources: {labels: {a: "N"}}
service: {readiness_probe: {path: /, post_data: {model: "$Q"}}}
"""
    found, _ = parse(text, base=tmp_path)
    assert found.workdir == tmp_path / "x1"
    assert found.file_mounts[0].dst == "/m/x1b"
    assert found.file_mounts[1].storage == {"name": "sec-$UNKNOWN"}
    assert found.volumes == {"/v": "x1-vol"}
    assert found.service and found.service["readiness_probe"]["post_data"] == {"model": 'a"b'}
    assert found.run == "echo $N"


def test_hostile_values_arrive_unchanged():
    values = {"A": "'; rm -rf /", "B": "a\nb\r\n\tc", "C": "$(id) `id` ${HOME}", "D": "ü🚀", "E": "x" * 100_000}
    found = one("run: x", envs=values, secrets=values)
    assert found.envs == values
    assert found.secrets == values


def test_multiline_env_in_yaml():
    assert one('envs: {A: "a\\nb"}\nrun: x').envs == {"A": "a\nb"}


def test_old_forms():
    found, warned = parse("experimental:\n  config_overrides:\n    kubernetes: {pod_config: {a: 1}}\nrun: x")
    assert found.config == {"kubernetes": {"pod_config": {"a": 1}}}
    assert [str(problem) for problem in warned] == [
        "task.yaml:1:1: experimental.config_overrides: is the old form (write `config:` instead)"
    ]
    assert one("resources: {cloud: k8s, region: ctx}\nrun: x").resources.context == "ctx"


@pytest.mark.parametrize(("text", "field"), [
    ("resources: {disk_tier: best}", "resources.disk_tier"),
    ("resources: {cloud: aws}", "resources.cloud"),
    ("resources: {infra: gcp/us-central1}", "resources.infra"),
    ("resources: {zone: us-central1-a}", "resources.zone"),
    ("resources: {local_disk: nvme:1000+}", "resources.local_disk"),
    ("resources: {max_hourly_cost: 2.5}", "resources.max_hourly_cost"),
    ("resources: {accelerator_args: {tpu_vm: true}}", "resources.accelerator_args"),
    ("resources: {instance_type: p4d.24xlarge}", "resources.instance_type"),
    ("resources: {volumes: [{path: /x, name: d}]}", "resources.volumes"),
    ("inputs: {s3://a: 5}", "inputs"),
    ("api_server_access: true", "api_server_access"),
    ("config: {gcp: {vpc_name: x}}", "config.gcp"),
    ("pool: {workers: 1}", "pool"),
])  # fmt: skip
def test_one_warning_for_what_has_no_effect(text, field):
    _, found = parse(text + "\nrun: x")
    assert [problem.field for problem in found] == [field]


@pytest.mark.parametrize(("text", "message"), [
    ("resources: {max_hourly_cost: 0}", "resources.max_hourly_cost: must be positive, not 0"),
    ("inputs: {s3://a: 5, s3://b: 5}", "inputs: should have one entry, not 2"),
    ("outputs: {s3://a: 5, s3://b: 5}", "outputs: should have one entry, not 2"),
])  # fmt: skip
def test_what_is_ignored_is_checked_all_the_same(text, message):
    assert message in problems(text + "\nrun: x")[0]


@pytest.mark.parametrize("text", ["resources: {infra: k8s}", "resources: {memory: 16Gi}", "num_nodes: 2"])
def test_no_warning(text):
    assert warnings(text + "\nrun: x") == []


def test_base_60_is_warned_of():
    assert "read as the number 1342 (base 60" in warnings("envs: {TIME: 22:22}\nrun: x")[0]


def test_a_lone_tilde():
    assert "means null in YAML" in warnings("workdir: ~\nrun: x")[0]
    assert 'not null (quote it: "~")' in problems("file_mounts: {/a: ~}")[0]


def test_merge_keys_and_aliases():
    found = one("envs: &base {A: '1', B: '2'}\nsecrets: {<<: *base, B: '3'}\nrun: x")
    assert found.secrets == {"A": "1", "B": "3"}


def test_bom_and_crlf():
    assert one(b"\xef\xbb\xbfname: x\r\nrun: echo\r\n").name == "x"


def test_pipeline_and_group():
    file, _ = task.parse_all("name: p\n---\n---\nname: a\nrun: x\n---\nrun: y\n", "t", Overrides(envs={"E": "1"}))
    assert (file.kind, file.name, [part.name for part in file.tasks]) == ("pipeline", "p", ["a", None])
    assert all(part.envs == {"E": "1"} for part in file.tasks)
    group = "name: g\nexecution: parallel\nodd: 1\n---\nname: a\n---\nname: b\n"
    file, warned = task.parse_all(group, "t")
    assert (file.kind, len(file.tasks), len(warned)) == ("group", 2, 1)
    with pytest.raises(task.TaskErrors, match="a job group of 2 tasks is no cluster of one task"):
        task.parse(group, "t")


def test_problems_of_all_documents_at_once():
    with pytest.raises(task.TaskErrors) as caught:
        task.parse_all("nme: a\n---\nnum_nodes: 0\n", "t")
    assert [problem.line for problem in caught.value.problems] == [1, 3]


def test_places_for_later_findings():
    found = one("run: x\nresources:\n  accelerators:\n    A100: 8\n")
    assert str(found.problem("resources.accelerators.A100", "no node has it")).startswith("task.yaml:4:11: ")
    assert str(found.problem("resources.cpus", "x")).startswith("task.yaml:3:3: resources.cpus: x")


def test_buckets_and_git():
    found = one("workdir: {url: https://x/y, ref: main}\nfile_mounts: {/a: s3://b}\nrun: x")
    assert found.workdir == task.GitSource("https://x/y", "main")
    assert found.file_mounts[0].src == "s3://b"
    assert task.unsupported(found) == []


def test_a_source_may_end_with_a_slash(tmp_path):
    assert parse("file_mounts: {/a: ./}\nrun: x", base=tmp_path)[0].file_mounts[0].src == tmp_path


def test_read_file(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        task.read_file(str(tmp_path / "no.yaml"))
    with pytest.raises(UsageError, match="Is a directory"):
        task.read_file(str(tmp_path))
    (tmp_path / "t.yaml").write_bytes(b"run: x")
    assert task.read_file(str(tmp_path / "t.yaml")) == b"run: x"


@pytest.mark.parametrize("item", ("TOKEN=s3cret", "TOKEN: s3cret", '"TOKEN: s3cret"', "{TOKEN: s3cret}", "[s3cret]"))
def test_a_secret_in_a_list_is_not_shown(item: str) -> None:
    with pytest.raises(UsageError) as error:
        task.parse(f"secrets:\n  - {item}\n", "task.yaml")
    assert "should be secrets:NAME" in str(error.value) and "s3cret" not in str(error.value)
