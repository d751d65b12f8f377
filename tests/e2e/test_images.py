"""Any image, any uid, the strictest namespace, both ways to bring the toolbox."""

from pathlib import Path

import pytest
import yaml
from conftest import Sky, image

READ_ONLY = {
    "kubernetes": {"pod_config": {"spec": {"containers": [{"securityContext": {"readOnlyRootFilesystem": True}}]}}}
}


@pytest.fixture(params=["mounted", "copied"])
def toolbox(sky: Sky, request: pytest.FixtureRequest) -> str:
    sky.env["KUBECTL_SKY_IMAGE_VOLUMES"] = "auto" if request.param == "mounted" else "false"
    return str(request.param)


def restrict(sky: Sky) -> None:
    sky.kubectl("label", "namespace", sky.namespace, "pod-security.kubernetes.io/enforce=restricted")


def task_file(folder: Path, name: str, run: str, **more: object) -> str:
    (folder / "data.txt").write_text("data")
    file = folder / "task.yaml"
    resources = {"cpus": 0.1, "image_id": image(name)}
    file.write_text(yaml.safe_dump({"name": name, "resources": resources, "run": run, **more}))
    return str(file)


@pytest.mark.parametrize("strict", [False, True], ids=["", "restricted-read-only"])
@pytest.mark.parametrize("name", ["busybox", "alpine", "debian-nonroot", "python"])
def test_images_with_a_shell(sky: Sky, tmp_path: Path, toolbox: str, name: str, strict: bool) -> None:
    more: dict[str, object] = {
        "workdir": str(tmp_path),
        "setup": "echo setup > ~/made",
        "file_mounts": {"~/in/f": str(tmp_path)},
    }
    if strict:
        restrict(sky)
        more["config"] = READ_ONLY
    file = task_file(
        tmp_path, name, "id -u; cat ~/made data.txt ~/in/f/data.txt; echo; [ -w / ] && echo writable", **more
    )
    result = sky.run("launch", file)
    uid = "1000" if strict else "1001" if name == "debian-nonroot" else "0"
    assert result.out.splitlines()[:3] == [uid, "setup", "datadata"], result
    assert ("writable" in result.out) is (uid == "0")
    assert sky.ok("ssh", name, "cat sky_workdir/data.txt; exit").out == "data"


def test_the_images_own_settings_are_kept(sky: Sky, tmp_path: Path) -> None:
    file = task_file(tmp_path, "debian-nonroot", "echo $APP_MODE $HOME $PWD $USER")
    assert sky.ok("launch", file).out.split() == ["production", "/home/app", "/home/app", "app"]


@pytest.mark.parametrize("strict", [False, True], ids=["", "restricted"])
def test_an_image_without_a_shell(sky: Sky, tmp_path: Path, strict: bool) -> None:
    if strict:
        restrict(sky)
    result = sky.run("launch", task_file(tmp_path, "distroless", "/app 'a b' 6"))
    assert result.code == 6 and "a b" in result.out, result
    script = sky.run("exec", "distroless", "--", "/app | cat")
    assert script.code == 127 and "no shell" in script.err, script
