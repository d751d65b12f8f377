"""pack.py SITE OUTPUT: makes one executable zip of the packages in the folder SITE.

shiv makes the archive; here it loses what is never run, and gets the launcher (launcher.sh) as its first bytes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

SCRIPTS = Path(__file__).parent
# kubernetes' models and APIs are 700 modules that kube.py never imports (it speaks dicts); nothing uses the others
UNUSED = [
    "bin",
    "share",
    "kubernetes/client/api",
    "kubernetes/client/apis",
    "kubernetes/client/models",
    "kubernetes/dynamic",
    "kubernetes/e2e_test",
    "kubernetes/leaderelection",
    "kubernetes/utils",
    "kubernetes/watch",
    "pygments",
    "markdown_it",
    "mdurl",
    "tzdata",
]
# says how and where a package was installed, and differs between machines
INSTALL_RECORDS = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"}


def prune(site: Path) -> None:
    for name in UNUSED:
        path = site / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in sorted(site.rglob("*")):
        compiled = path.suffix in {".so", ".pyd", ".dylib", ".pyc", ".pyi"}
        if path.is_file() and (compiled or (path.parent.suffix == ".dist-info" and path.name in INSTALL_RECORDS)):
            path.unlink()


def version(site: Path) -> str:
    return next(site.glob("kubectl_sky-*.dist-info")).name.removesuffix(".dist-info").partition("-")[2]


def shiv(site: Path, archive: Path) -> str:
    """Makes the archive; returns its build id, a digest of every path and content."""
    command = [sys.executable, "-m", "shiv", "--site-packages", str(site), "--output-file", str(archive)]
    command += ["--entry-point", "kubectl_sky.__main__:main", "--preamble", str(SCRIPTS / "preamble.py")]
    subprocess.run([*command, "--reproducible", "--compressed"], check=True)
    with zipfile.ZipFile(archive) as members:
        return str(json.loads(members.read("environment.json"))["build_id"])


def prepend_launcher(archive: Path, launcher: str, output: Path) -> None:
    """Writes the launcher, then the archive's members again in a fixed order with fixed dates and modes."""
    date = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    with output.open("wb") as file, zipfile.ZipFile(archive) as source:
        file.write(launcher.encode())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
            for name in sorted(source.namelist()):
                member = zipfile.ZipInfo(name, date)
                member.external_attr = 0o100644 << 16
                member.compress_type = zipfile.ZIP_DEFLATED
                target.writestr(member, source.read(name), compresslevel=9)
    output.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    site: Path = arguments.site
    prune(site)
    launcher = (SCRIPTS / "launcher.sh").read_text().replace("@VERSION@", version(site))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive.pyz"
        build = shiv(site, archive)
        prepend_launcher(archive, launcher.replace("@BUILD@", build), arguments.output)


if __name__ == "__main__":
    main()
