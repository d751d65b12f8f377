"""Buckets: what their URIs mean, where credentials come from, and what a pod gets of it."""

import base64
import json

import pytest

from kubectl_sky import own_containers, planning, podspec, settings, shape
from kubectl_sky.buckets import access, credentials, uploading
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.parts import bucket_uploads
from kubectl_sky.settings import PREFIX
from kubectl_sky.task import parse, unsupported
from kubectl_sky.taskfile.buckets import Bucket, read

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENTITY", "AWS_SECRET_ACCESS_KEY": "s3cr3t/key"}
NAMES = ("AWS_", "AZURE_", "GOOGLE_", PREFIX)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A machine without credentials."""
    import os

    for name in [name for name in os.environ if name.startswith(NAMES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def buckets(text):
    return read(parse(f"file_mounts: {text}\nrun: x", "task.yaml")[0].file_mounts)


def refused(text):
    return [str(problem) for problem in unsupported(parse(f"file_mounts: {text}\nrun: x", "task.yaml")[0])]


def remote(uri, env=(), home=None, **endpoints):
    (bucket,) = buckets(f"{{/a: '{uri}'}}")
    return credentials.remote(bucket, dict(env), home, endpoints, False)


def rendered(text, **settings):
    task, _ = parse(f"{text}\nrun: x", "task.yaml")
    key = podspec.Identity("PRIVATE", "PUBLIC")
    plan = planning.plan(planning.blind(task), planning.Options("t"), podspec.Facts(), key)
    return plan, {f"{m['kind']}/{m['metadata']['name']}": m for m in podspec.render(plan)}


def pod(manifests):
    return manifests["Job/t"]["spec"]["template"]["spec"]


def test_uris():
    azure = "https://Acc.blob.core.windows.net/box/a/"
    assert buckets(f"{{/a: s3://b/pre/fix/, ~/g: gs://b, /z: '{azure}', /r: {{source: 'R2://c', mode: copy}}}}") == [
        Bucket("/a", "s3://b/pre/fix/", "s3", "b/pre/fix"),
        Bucket("~/g", "gs://b", "gs", "b"),
        Bucket("/z", azure, "azure", "box/a", "acc"),
        Bucket("/r", "R2://c", "r2", "c"),
    ]
    (named,) = buckets("{/a: {name: b, store: GCS}}")
    assert (named.uri, named.mode) == ("gs://b", "MOUNT")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{/a: s3://}", "names no bucket"),
        ("{/a: 'cos://r'}", "cos://REGION/BUCKET"),
        ("{/a: {name: b, store: IBM}}", "cos://REGION/BUCKET"),
        ("{/a: {name: b, store: HF}}", "hf download"),
        ("{/a: 'hf://m'}", "hf download"),
        ("{/a: {name: b, source: /tmp, store: AZURE}}", "copy what is local there first"),
        ("{/a: {name: b, store: AZURE}}", "https://ACCOUNT.blob"),
        ("{/a: {name: b, store: VOLUME}}", "under `volumes:`"),
        ("{/a: 'skypilot:x'}", "SkyPilot's server only"),
        ("{/sky/x: s3://b}", "cannot be at /sky/x"),
        ("{'~': s3://b}", "cannot be at ~"),
    ],
)
def test_what_cannot_be_had(text, words):
    (problem,) = refused(text)
    assert words in problem
    assert problem.startswith("task.yaml:1:")


def test_s3_from_the_environment(home):
    env = {**KEYS, "AWS_SESSION_TOKEN": "tok", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://minio:9000"}
    assert remote("s3://b", env, home).options == {
        "type": "s3", "provider": "Other", "access_key_id": "AKIDENTITY", "secret_access_key": "s3cr3t/key",
        "session_token": "tok", "endpoint": "http://minio:9000", "region": "eu-west-1", "env_auth": "false",
    }  # fmt: skip
    assert remote("s3://b", {**env, "AWS_ENDPOINT_URL_S3": "http://s3"}, home).options["endpoint"] == "http://s3"
    assert remote("s3://b", env, home, s3="http://set").options["endpoint"] == "http://set"
    with pytest.raises(UsageError, match="is this machine itself"):
        remote("s3://b", {**env, "AWS_ENDPOINT_URL": "http://localhost:9000"}, home)
    assert "s3cr3t" not in repr(remote("s3://b", env, home))


def test_s3_without_anything_is_the_pods_own_identity(home):
    found = remote("s3://b", {}, home)
    assert found.options == {"type": "s3", "provider": "AWS", "region": "us-east-1", "env_auth": "true"}
    assert not found.source


def test_s3_from_profiles(home):
    (home / ".aws").mkdir()
    keys = "aws_access_key_id = {0}\naws_secret_access_key = {0}secret%\n"
    (home / ".aws/credentials").write_text("".join(f"[{n}]\n{keys.format(n)}" for n in ("default", "work", "nebius")))
    config = "[profile work]\nregion=eu-1\nendpoint_url=http://w\n[profile nebius]\nendpoint_url=http://n\n"
    (home / ".aws/config").write_text(config)
    assert remote("s3://b", {}, home).options["secret_access_key"] == "defaultsecret%"
    work = remote("s3://b", {"AWS_PROFILE": "work"}, home)
    both = remote("s3://b", {**KEYS, "AWS_PROFILE": "work"}, home).options
    assert (both["access_key_id"], both["endpoint"]) == ("AKIDENTITY", "http://w")
    assert (work.options["access_key_id"], work.options["region"], work.source) == ("work", "eu-1", "the profile work")
    assert work.options["endpoint"] == "http://w"
    nebius = remote("nebius://b", KEYS, home).options
    assert (nebius["access_key_id"], nebius["endpoint"]) == ("nebius", "http://n")
    with pytest.raises(UsageError, match="AWS_PROFILE=none: there is no such profile"):
        remote("s3://b", {"AWS_PROFILE": "none"}, home)


def test_a_profile_without_keys(home):
    (home / ".aws").mkdir()
    (home / ".aws/config").write_text("[default]\nsso_session = x\nregion = eu-1\n")
    with pytest.raises(UsageError, match="the profile default has no keys of its own") as caught:
        remote("s3://b", {}, home)
    assert "export-credentials" in caught.value.hint
    assert remote("s3://b", KEYS, home).options["region"] == "eu-1"


def test_a_broken_file_of_keys_is_not_quoted(home):
    (home / ".aws").mkdir()
    (home / ".aws/credentials").write_text("SECRETKEY\n")
    with pytest.raises(UsageError, match="credentials cannot be read") as caught:
        remote("s3://b", {}, home)
    assert "SECRETKEY" not in str(caught.value) + str(caught.value.hint)


def test_r2_and_other_endpoints(home):
    with pytest.raises(UsageError, match="the endpoint of r2:// is not known"):
        remote("r2://b", KEYS, home)
    (home / ".cloudflare").mkdir()
    (home / ".cloudflare/accountid").write_text("abc\n")
    (home / ".cloudflare/r2.credentials").write_text("[r2]\naws_access_key_id=r\naws_secret_access_key=rs\n")
    found = remote("r2://b", KEYS, home).options
    assert (found["provider"], found["endpoint"]) == ("Cloudflare", "https://abc.r2.cloudflarestorage.com")
    assert found["access_key_id"] == "r"
    assert remote("cw://b", KEYS, home).options["endpoint"] == "https://cwobject.com"
    assert remote("oci://b", KEYS, home, oci="https://o").options["endpoint"] == "https://o"


def test_ibm(home):
    assert remote("cos://eu-de/b/p", KEYS, home).options == {
        "type": "s3", "provider": "IBMCOS", "access_key_id": "AKIDENTITY", "secret_access_key": "s3cr3t/key",
        "endpoint": "https://s3.eu-de.cloud-object-storage.appdomain.cloud", "env_auth": "false",
    }  # fmt: skip
    (home / ".ibm").mkdir()
    (home / ".ibm/credentials.yaml").write_text("iam_api_key: x\naccess_key_id: i\nsecret_access_key: 'is'\n")
    found = remote("cos://eu-de/b", {}, home)
    assert (found.options["access_key_id"], found.options["secret_access_key"]) == ("i", "is")
    assert found.source == "~/.ibm/credentials.yaml"


def test_google(home):
    assert not remote("gs://b", {}, home).files
    with pytest.raises(UsageError, match="there is no such file"):
        remote("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": str(home / "none")}, home)
    key = home / "key.json"
    key.write_text('{"type": "service_account", "project_id": "p-1"}')
    found = remote("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}, home)
    assert found.files == {"google.json": '{"type": "service_account", "project_id": "p-1"}'}
    assert found.options["project_number"] == "p-1"
    key.write_text("no json")
    with pytest.raises(UsageError, match="is no JSON"):
        remote("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}, home)


def test_azure(home):
    uri = "https://acc.blob.core.windows.net/box/p"
    assert remote(uri, {}, home).options == {"type": "azureblob", "account": "acc", "env_auth": "true"}
    assert remote(uri, {"AZURE_STORAGE_KEY": "k=="}, home).options["key"] == "k=="
    other = {"AZURE_STORAGE_KEY": "k==", "AZURE_STORAGE_ACCOUNT": "other"}
    assert "key" not in remote(uri, other, home).options
    text = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a+b==;EndpointSuffix=core.windows.net"
    assert remote(uri, {"AZURE_STORAGE_CONNECTION_STRING": text}, home).options["key"] == "a+b=="
    sas = remote(uri, {"AZURE_STORAGE_SAS_TOKEN": "?sv=1"}, home).options["sas_url"]
    assert sas == "https://acc.blob.core.windows.net/box?sv=1"


def test_a_pod_copies_before_it_starts(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    _, manifests = rendered("file_mounts: {/a: s3://b/x, ~/c: s3://b, /l: gs://g}")
    spec = pod(manifests)
    copier = next(one for one in spec["initContainers"] if one["name"] == "buckets")
    assert copier["securityContext"] == own_containers.HARDENED
    assert copier["command"][4:] == ["r0:b/x", "s3://b/x", "0", "r0:b", "s3://b", "1", "r1:g", "gs://g", "2"]
    task, ssh = spec["containers"]
    assert [(one["mountPath"], one["subPath"]) for one in task["volumeMounts"] if one["name"] == "copies"] == [
        ("/a", "0"), ("/sky/buckets/1", "1"), ("/l", "2"),
    ]  # fmt: skip
    assert {"name": "SKY_LINKS_BUCKETS", "value": '{"~/c": "/sky/buckets/1"}'} in task["env"]
    assert all(one["name"] not in ("rclone",) for one in [*task["volumeMounts"], *ssh["volumeMounts"]])
    config = base64.b64decode(manifests["Secret/t-buckets"]["data"]["rclone.conf"]).decode()
    assert "secret_access_key = s3cr3t/key" in config


def test_credentials_are_nowhere_else(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    plan, manifests = rendered("file_mounts: {/a: s3://b}")
    assert podspec.has_secrets(plan)
    secret = manifests.pop("Secret/t-buckets")
    for value in KEYS.values():
        encoded = base64.b64encode(value.encode()).decode()
        assert value not in json.dumps(manifests)
        assert encoded not in json.dumps(manifests)
    assert base64.b64decode(podspec.hidden([secret])[0]["data"]["rclone.conf"]) == podspec.HIDDEN.encode()
    assert any("AWS_ACCESS_KEY_ID" in note for note in plan.notes)


def test_the_tasks_own_variables_come_first(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    secrets = "secrets: {AWS_ACCESS_KEY_ID: theirs, AWS_SECRET_ACCESS_KEY: theirs2}"
    _, manifests = rendered(f"file_mounts: {{/a: s3://b}}\n{secrets}")
    config = base64.b64decode(manifests["Secret/t-buckets"]["data"]["rclone.conf"]).decode()
    assert "access_key_id = theirs\n" in config


def test_a_secret_of_the_namespace(monkeypatch):
    for name, value in {**KEYS, PREFIX + "BUCKET_SECRET": "team-keys"}.items():
        monkeypatch.setenv(name, value)
    _, manifests = rendered("file_mounts: {/a: s3://b}")
    config = base64.b64decode(manifests["Secret/t-buckets"]["data"]["rclone.conf"]).decode()
    assert "AKIDENTITY" not in config
    assert "env_auth = true" in config
    copier = next(one for one in pod(manifests)["initContainers"] if one["name"] == "buckets")
    assert copier["envFrom"] == [{"secretRef": {"name": "team-keys"}}]


def test_all_problems_at_once():
    with pytest.raises(TaskErrors) as caught:
        rendered("file_mounts:\n  /a: {source: s3://b}\n  /r: r2://c\n  /n: nebius://c")
    assert len(caught.value.problems) == 3
    assert "task.yaml:2:7" in caught.value.message
    assert "mode: COPY" in caught.value.message


def test_a_volume_at_the_same_place():
    with pytest.raises(TaskErrors, match="a volume is mounted at the same place"):
        rendered("file_mounts: {~/a: s3://b}\nvolumes: {~/a: v}")


def test_what_is_local_goes_to_a_bucket_first(tmp_path, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("x")
    text = (
        f"{{/a: {{name: b, source: {tmp_path}/d}}, /c: {{name: g, store: gcs, source: [{tmp_path}/d, {tmp_path}/f]}}}}"
    )
    one, two = buckets(text)
    assert (one.uri, one.named, one.uploads) == ("s3://b", True, (tmp_path / "d",))
    assert (two.uri, two.named, two.uploads) == ("gs://g", True, (tmp_path / "d", tmp_path / "f"))
    task, _ = parse(f"file_mounts: {text}\nrun: x", "task.yaml")
    assert [mount.destination for _, mount in uploading.files(task).mounts] == ["/files/0", "/files/1/d", "/files/1/f"]
    rclone = access.access(task, "t-upload", settings.load(), [one, two])
    like = {"serviceAccountName": "sa", "containers": []}
    config, secret, job = bucket_uploads.job(rclone, [one, two], {"image": "i"}, {"receive.py": ""}, like)
    assert (config["metadata"]["name"], secret["metadata"]["name"]) == ("t-upload-sky", "t-upload-buckets")
    spec = job["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "sa"
    assert spec["containers"][1]["command"][4:] == ["r0:b", "s3://b", "0", "r1:g", "gs://g", "1"]
    assert all(container["securityContext"] == own_containers.HARDENED for container in spec["containers"])
    assert "s3cr3t" not in json.dumps([config, job])


def test_exec_brings_no_buckets():
    one, other = (parse(f"file_mounts: {{/a: s3://{name}}}\nrun: x", "t")[0] for name in ("b", "c"))
    job = {"metadata": {"annotations": {shape.SHAPE: json.dumps(shape.of(one))}}}
    assert shape.missing_buckets(one, job) == []
    assert shape.missing_buckets(other, job) == ["s3://c at /a"]


def test_a_second_launch_must_want_the_same_buckets():
    one, other, none = (
        parse(f"{text}\nrun: x", "t")[0] for text in ("file_mounts: {/a: s3://b}", "file_mounts: {/a: s3://c}", "")
    )
    assert shape.misfits(one, shape.of(one)) == []
    assert shape.misfits(none, shape.of(one)) == []
    assert shape.misfits(other, shape.of(one)) == ["buckets: asked for s3://c at /a, has s3://b at /a"]


def test_endpoints_are_checked(monkeypatch):
    monkeypatch.setenv(PREFIX + "BUCKET_ENDPOINTS", "minio:9000")
    with pytest.raises(UsageError, match="should be SCHEME=URL"):
        rendered("file_mounts: {/a: s3://b}")


MOUNTED = """file_mounts:
  /a: {name: b, config: {mount: {read_only: true}}}
  ~/c: {source: s3://b/p, mode: MOUNT_CACHED, config: {mount_cached: {transfers: 3, vfs_write_back: 5s}}}
  /d: s3://b"""


def test_mounts_by_a_privileged_sidecar(monkeypatch):
    monkeypatch.setenv(PREFIX + "ALLOW_PRIVILEGED_MOUNTS", "true")
    spec = pod(rendered(MOUNTED)[1])
    copier, guard, sidecar = (one for one in spec["initContainers"] if one["name"].startswith("bucket"))
    assert copier["command"][4:] == ["r0:b", "s3://b", "0"]
    assert not copier["securityContext"].get("privileged")
    assert sidecar["securityContext"]["privileged"]
    assert sidecar["restartPolicy"] == guard["restartPolicy"] == "Always"
    assert guard["command"][4:] == ["0", "1"]
    assert sidecar["command"][4:] == [
        "r0:b", "s3://b", "0", "made", "--vfs-cache-mode writes --read-only",
        "r0:b/p", "s3://b/p", "1", "there", "--vfs-cache-mode full --transfers 3",
    ]  # fmt: skip
    (task, _) = spec["containers"]
    found = {one["mountPath"]: one.get("mountPropagation") for one in task["volumeMounts"]}
    assert (found["/a"], found["/sky/mounts/1"], found["/d"]) == ("HostToContainer", "HostToContainer", None)
    assert {"name": "SKY_LINKS_MOUNTS", "value": '{"~/c": "/sky/mounts/1"}'} in task["env"]
    assert "securityContext" not in task


def refusals(monkeypatch, agreed, facts):
    monkeypatch.setenv(PREFIX + "ALLOW_PRIVILEGED_MOUNTS", agreed)
    task, _ = parse(f"{MOUNTED}\nrun: x", "task.yaml")
    with pytest.raises(TaskErrors) as caught:
        planning.plan(planning.blind(task), planning.Options("t"), facts, podspec.Identity("PRIVATE", "PUBLIC"))
    return [str(problem) for problem in caught.value.problems]


def test_mounts_are_refused_with_the_choices(monkeypatch):
    for agreed, facts, words in (
        ("false", podspec.Facts(), "--allow-privileged-mounts"),
        ("true", podspec.Facts(pod_security="baseline"), "level baseline forbids"),
        ("true", podspec.Facts(sidecars=False), "Kubernetes 1.29"),
    ):
        said = refusals(monkeypatch, agreed, facts)
        assert [text.split(":")[1] for text in said] == ["2", "3"]
        assert all(words in text and "`mode: COPY`" in text and "`volumes:`" in text for text in said)


BOTH = podspec.Facts(csi=frozenset({"gcsfuse.csi.storage.gke.io", "blob.csi.azure.com"}))
BY_DRIVERS = """file_mounts:
  /g: {source: gs://box/pre/fix, mode: MOUNT_CACHED, config: {mount_cached: {read_only: true}}}
  ~/z: {source: 'https://acc.blob.core.windows.net/cont/sub'}
  /copy: s3://b"""


def planned(text, facts):
    task, _ = parse(f"{text}\nrun: x", "task.yaml")
    key = podspec.Identity("PRIVATE", "PUBLIC")
    plan = planning.plan(planning.blind(task), planning.Options("t"), facts, key)
    return plan, {f"{m['kind']}/{m['metadata']['name']}": m for m in podspec.render(plan)}


def test_mounts_by_csi_drivers(monkeypatch):
    """No container of ours, no rights; the key of Azure only in a Secret for its driver."""
    for name, value in {**KEYS, "AZURE_STORAGE_KEY": "azkey=="}.items():
        monkeypatch.setenv(name, value)
    plan, manifests = planned(BY_DRIVERS, BOTH)
    template = manifests["Job/t"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {"gke-gcsfuse/volumes": "true"}
    volumes = {one["name"]: one["csi"] for one in template["spec"]["volumes"] if "csi" in one}
    assert volumes["csi-0"] == {
        "driver": "gcsfuse.csi.storage.gke.io", "readOnly": True,
        "volumeAttributes": {
            "bucketName": "box",
            "mountOptions": "implicit-dirs,file-mode=777,dir-mode=777,only-dir=pre/fix,file-cache:max-size-mb:-1",
        },
    }  # fmt: skip
    assert volumes["csi-1"]["volumeAttributes"] == {
        "containerName": "cont", "secretName": "t-azure-0", "protocol": "fuse",
        "mountOptions": "-o allow_other --virtual-directory=true --file-cache-timeout-in-seconds=120 "
        "--subdirectory=sub",
    }  # fmt: skip
    data = manifests["Secret/t-azure-0"]["data"]
    assert {name: base64.b64decode(value).decode() for name, value in data.items()} == {
        "azurestorageaccountname": "acc", "azurestorageaccountkey": "azkey==",
    }  # fmt: skip
    (task, _) = template["spec"]["containers"]
    found = {one["mountPath"]: one.get("readOnly", False) for one in task["volumeMounts"]}
    assert (found["/g"], found["/sky/csi/1"], found["/copy"]) == (True, False, False)
    assert {"name": "SKY_LINKS_CSI", "value": '{"~/z": "/sky/csi/1"}'} in task["env"]
    assert [one["name"] for one in template["spec"]["initContainers"] if one["name"].startswith("bucket")] == [
        "buckets"
    ]
    config = base64.b64decode(manifests["Secret/t-buckets"]["data"]["rclone.conf"]).decode()
    assert "azkey" not in config and "[r0]" in config and "[r1]" not in config
    assert "gs://box/pre/fix is mounted by gcsfuse.csi.storage.gke.io" in plan.notes


def test_without_anything_for_rclone_there_is_no_secret_for_it():
    _, manifests = planned("file_mounts: {/g: {source: gs://box}}", BOTH)
    assert not [name for name in manifests if "buckets" in name]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{source: s3://b}", "no CSI driver here does it"),
        ("{source: 'gs://b/with space'}", "no CSI driver here does it"),
        ("{source: 'https://acc.blob.core.windows.net/cont'}", "blob.csi.azure.com needs the account's key"),
    ],
)
def test_what_a_driver_cannot_do_is_refused(text, words):
    with pytest.raises(TaskErrors, match=words):
        planned(f"file_mounts: {{/m: {text}}}", BOTH)
