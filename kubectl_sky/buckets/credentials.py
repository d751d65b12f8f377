"""With which credentials rclone reads a bucket: from the environment and the files that the vendors' tools know.

Nothing found: the pod's own identity (a cloud's workload identity), which rclone finds by itself.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile.buckets import Bucket

Environment = Mapping[str, str]
GOOGLE_FILE = "google.json"
IBM_FILE = ".ibm/credentials.yaml"
_KEYS = {"aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key",
         "aws_session_token": "session_token"}  # fmt: skip
_BY_OTHERS = ("sso_session", "sso_start_url", "credential_process", "role_arn")  # a profile's ways to get keys
# files of their own beside AWS's, as SkyPilot has them: (credentials, config, profile)
_OWN_FILES = {
    "r2": (".cloudflare/r2.credentials", ".cloudflare/r2.config", "r2"),
    "cw": (".coreweave/cw.credentials", ".coreweave/cw.config", "cw"),
    "vastdata": (".vastdata/vastdata.credentials", ".vastdata/vastdata.config", "vastdata"),
}


@dataclass(frozen=True)
class Remote:
    """A section of rclone's config; `files` lie beside it. `source`: of the credentials, "" for none."""

    options: dict[str, str] = field(repr=False)
    files: dict[str, str] = field(default_factory=dict, repr=False)
    source: str = ""


def remote(bucket: Bucket, env: Environment, home: Path, endpoints: Mapping[str, str], in_cluster: bool) -> Remote:
    """The access to a bucket; `in_cluster`: a Secret there has the credentials. Raises UsageError: what is missing."""
    if bucket.kind == "azure":
        found = _azure(bucket, env)
    elif bucket.kind == "gs":
        found = _google(env, home)
    else:
        found = _s3(bucket, env, home, endpoints.get(bucket.kind, ""))
    if in_cluster:
        secret = {"access_key_id", "secret_access_key", "session_token", "key", "sas_url", "client_secret"}
        kept = {name: value for name, value in found.options.items() if name not in secret}
        found = Remote({**kept, "env_auth": "true"})
    for name, value in found.options.items():
        if "\n" in value or "\r" in value or value != value.strip():
            raise UsageError(f"{bucket.uri}: the {name} of {found.source} has a space or a line's end in it")
    return found


def _s3(bucket: Bucket, env: Environment, home: Path, endpoint: str) -> Remote:
    kind = bucket.kind
    known = _profile(kind, env, home)
    if profile := env.get("AWS_PROFILE") if kind == "s3" and not known else "":
        raise UsageError(f"AWS_PROFILE={profile}: there is no such profile in ~/.aws/credentials or ~/.aws/config")
    keys = {short: known[name] for name, short in _KEYS.items() if known.get(name)}
    source = known.get("source", "") if keys else ""
    # variables come before a profile, as for AWS's own tools; but they are AWS's, and another vendor's profile is not
    if (kind == "s3" or not keys) and env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        keys = {short: env[name.upper()] for name, short in _KEYS.items() if env.get(name.upper())}
        source = "AWS_ACCESS_KEY_ID"
    if not keys and (how := next((name for name in _BY_OTHERS if known.get(name)), None)):
        hint = 'set its keys first: eval "$(aws configure export-credentials --format env)"'
        raise UsageError(f"{known['source']} has no keys of its own ({how})", hint)
    if kind == "s3":
        endpoint = endpoint or env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or ""
    endpoint = endpoint or known.get("endpoint_url", "") or _known_endpoint(bucket, home)
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") if kind == "s3" else ""
    region = region or known.get("region") or ("us-east-1" if kind == "s3" and not endpoint else "")
    if not endpoint and kind != "s3":
        raise UsageError(
            f"the endpoint of {kind}:// is not known",
            f"set `bucket_endpoints: [{kind}=https://HOST]` in kubectl-sky's config, or endpoint_url in the profile "
            f"`{kind}` of ~/.aws/config",
        )
    if re.match(r"https?://(localhost|127\.|\[::1\])", endpoint):
        raise UsageError(
            f"the endpoint {endpoint} is this machine itself, not of pods", "use an address that pods reach"
        )
    options = {"type": "s3", "provider": _provider(kind, endpoint), **keys}
    options |= {name: value for name, value in (("endpoint", endpoint), ("region", region)) if value}
    return Remote({**options, "env_auth": "false" if keys else "true"}, {}, source)


def _provider(kind: str, endpoint: str) -> str:
    return {"r2": "Cloudflare", "cos": "IBMCOS"}.get(kind, "Other" if endpoint else "AWS")


def _known_endpoint(bucket: Bucket, home: Path) -> str:
    kind = bucket.kind
    if kind == "cw":
        return "https://cwobject.com"
    if kind == "cos":
        return f"https://s3.{bucket.account}.cloud-object-storage.appdomain.cloud"
    account = _text(home / ".cloudflare/accountid").strip() if kind == "r2" else ""
    return f"https://{account}.r2.cloudflarestorage.com" if account else ""


def _profile(kind: str, env: Environment, home: Path) -> dict[str, str]:
    """What the profile says, `source` among it; {} where there is none."""
    name = env.get("AWS_PROFILE") or "default" if kind == "s3" else kind
    credentials = env.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / ".aws/credentials")
    config = env.get("AWS_CONFIG_FILE") or str(home / ".aws/config")
    found = _section(config, f"profile {name}") or _section(config, name)
    found |= _section(credentials, name)
    if kind == "cos":
        return _ibm(home) or ({**found, "source": f"the profile {name}"} if found else {})
    if kind in _OWN_FILES:
        keys, more, own = _OWN_FILES[kind]
        found |= _section(str(home / more), f"profile {own}") | _section(str(home / keys), own)
    return {**found, "source": f"the profile {name}"} if found else {}


def _ibm(home: Path) -> dict[str, str]:
    """The keys (HMAC) beside the API key in SkyPilot's file for IBM."""
    lines = re.findall(r"(?m)^(access_key_id|secret_access_key): *[\"']?([^\s\"'#]+)", _text(home / IBM_FILE))
    return {**{f"aws_{name}": value for name, value in lines}, "source": f"~/{IBM_FILE}"} if len(lines) == 2 else {}


def _section(file: str, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(_text(Path(file).expanduser()))
    except configparser.Error as error:
        # its text would quote the line, and so a key
        raise UsageError(f"{file} cannot be read ({type(error).__name__})", "it is made by `aws configure`") from None
    return dict(parser[name]) if name in parser else {}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'no text'}") from None


def _google(env: Environment, home: Path) -> Remote:
    options = {"type": "google cloud storage", "env_auth": "true", "bucket_policy_only": "true"}
    if project := env.get("GOOGLE_CLOUD_PROJECT"):
        options["project_number"] = project  # where a bucket is made
    given = env.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    path = Path(given).expanduser() if given else home / ".config/gcloud/application_default_credentials.json"
    text = _text(path)
    if not text:
        if given:
            raise UsageError(f"GOOGLE_APPLICATION_CREDENTIALS={given}: there is no such file, or it is empty")
        return Remote(options)
    try:
        known = json.loads(text)
    except ValueError:
        raise UsageError(
            f"{path} is no JSON", "a service account's key, or `gcloud auth application-default login`"
        ) from None
    if isinstance(known, dict) and (project := known.get("project_id") or known.get("quota_project_id")):
        options.setdefault("project_number", str(project))
    return Remote(options, {GOOGLE_FILE: text}, str(path))


def _azure(bucket: Bucket, env: Environment) -> Remote:
    found = Remote({"type": "azureblob", "account": bucket.account, "env_auth": "true"})
    pairs = dict(part.partition("=")[::2] for part in env.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";"))
    key, own = env.get("AZURE_STORAGE_KEY"), env.get("AZURE_STORAGE_ACCOUNT")
    if pairs.get("AccountKey") and pairs.get("AccountName", bucket.account) == bucket.account:
        key, own = pairs["AccountKey"], bucket.account
    if key and own in (None, "", bucket.account):
        options = {**found.options, "key": key, "env_auth": "false"}
        return replace(found, options=options, source="AZURE_STORAGE_KEY")
    if token := env.get("AZURE_STORAGE_SAS_TOKEN"):
        container = bucket.path.partition("/")[0]
        url = f"https://{bucket.account}.blob.core.windows.net/{container}?{token.lstrip('?')}"
        return Remote({"type": "azureblob", "sas_url": url}, {}, "AZURE_STORAGE_SAS_TOKEN")
    who = {"tenant": "AZURE_TENANT_ID", "client_id": "AZURE_CLIENT_ID", "client_secret": "AZURE_CLIENT_SECRET"}
    if all(env.get(name) for name in who.values()):
        options = {"type": "azureblob", "account": bucket.account, **{key: env[name] for key, name in who.items()}}
        return Remote(options, {}, "AZURE_CLIENT_ID")
    return found
