"""How git reaches a repository, and what its refusals mean. Pure.

A password or token never is in an argument, a file or the clone's configuration: git asks a credential helper, a line
of shell that reads it from the environment, and it is told to nobody but the host of the URL.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

TOKEN, KEY = "GIT_TOKEN", "GIT_SSH_KEY_PATH"
USER, PASSWORD = "KUBECTL_SKY_GIT_USER", "KUBECTL_SKY_GIT_PASSWORD"
HELPER = f"""!f() {{ test "$1" = get && printf 'username=%s\\npassword=%s\\n' "${USER}" "${PASSWORD}"; }}; f"""
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15"
QUIET = {
    "LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never",
    "GIT_OPTIONAL_LOCKS": "0", "GIT_HTTP_LOW_SPEED_LIMIT": "100", "GIT_HTTP_LOW_SPEED_TIME": "60",
}  # fmt: skip
# set where a hook of git's started us: they would lead to another repository
FOREIGN = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES",
)  # fmt: skip
USERS = {"bitbucket.org": "x-token-auth"}  # the user name that goes with a token; elsewhere any does


@dataclass(frozen=True)
class Access:
    """`url` holds no password; `options` stand before git's verb; `env` is git's whole environment."""

    url: str
    options: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    secret: str = ""  # "", or where the password comes from, for messages


class Refusal(NamedTuple):
    """What git's message means: the field that is wrong (`url`, `ref` or none), and what to tell."""

    field: str
    message: str
    hint: str | None


def access(url: str, environ: Mapping[str, str]) -> Access:
    """The way to `url` with what the user's environment has for it: GIT_TOKEN for https, GIT_SSH_KEY_PATH for ssh."""
    env = {name: value for name, value in environ.items() if name not in FOREIGN} | QUIET
    options = ["-c", "core.hooksPath=/dev/null", "-c", "gc.autoDetach=false", "-c", "advice.detachedHead=false"]
    key = environ.get(KEY)
    if key or "GIT_SSH_COMMAND" not in environ:
        env["GIT_SSH_COMMAND"] = f"{SSH} -o IdentitiesOnly=yes -i {shlex.quote(key)}" if key else SSH
    if not is_http(url):
        return Access(url, tuple(options), env, KEY if key and is_ssh(url) else "")
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    secret = "the URL" if password else ""
    if not password and parts.scheme.lower() == "https" and environ.get(TOKEN):
        password, secret = environ[TOKEN], TOKEN
    host = parts.netloc.rpartition("@")[2]
    if password:
        env |= {USER: user or USERS.get(host, "x-access-token"), PASSWORD: password}
        # the first one takes away the user's own helpers, which would store it
        options += ["-c", "credential.helper=", "-c", f"credential.{parts.scheme}://{host}.helper={HELPER}"]
    clean = urlunsplit(parts._replace(netloc=f"{parts.username}@{host}" if parts.username and not secret else host))
    return Access(clean, tuple(options), env, secret)


def is_http(url: str) -> bool:
    return bool(re.match(r"https?://", url, re.IGNORECASE))


def is_ssh(url: str) -> bool:
    """`ssh://host/path`, or `user@host:path`."""
    return bool(re.match(r"(git\+)?ssh://|[^/]+:(?!//)", url, re.IGNORECASE))


def _ssh_words(url: str) -> tuple[str, str]:
    """(`user@host`, `-p PORT ` or nothing) of a URL for ssh."""
    if "://" not in url:
        return url.partition(":")[0], ""
    parts = urlsplit(url)
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    return host, f"-p {parts.port} " if parts.port else ""


def lacks_ref(stderr: str) -> bool:
    """Whether the repository was read and has no such ref."""
    return bool(re.search(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", stderr, re.I))


def refusal(found: Access, ref: str | None, stderr: str) -> Refusal:
    """What git's stderr means for the user."""
    if module := re.search(r"clone of '(.*)' into submodule path '.*' failed", stderr):
        found = replace(found, url=module[1], secret="")  # which may not have been sent there
    url, text = found.url, stderr.lower()
    if lacks_ref(stderr):
        return no_ref(url, ref, [])
    if "host key verification failed" in text:
        person, port = _ssh_words(url)
        host = person.rpartition("@")[2]
        return Refusal("", f"ssh does not know the key of {host}", f"make it known: ssh {port}{person}")
    if re.search(r"authentication failed|could not read (username|password)|permission denied|http basic|error: 40[13]",
                 text):  # fmt: skip
        return Refusal("", *_denied(found))
    if re.search(r"repository .*not found|not appear to be a git repository|does not exist|not a git repo|error: 404|"
                 "not valid: is this a git repository", text):  # fmt: skip
        hint = "the URL is wrong, or the repository is private: " + _credentials(url)
        return Refusal("url", f"there is no git repository at {url}", hint if not found.secret else None)
    lines = [line for line in stderr.splitlines() if re.match(r"(fatal|error|ssh|remote): ", line)]
    said = re.sub(r"^(fatal|error): ", "", (lines or stderr.strip().splitlines() or ["git failed"])[0])
    return Refusal("", f"cannot fetch {url}: {said}", "see what git says: git ls-remote " + shlex.quote(url))


def _denied(found: Access) -> tuple[str, str]:
    if found.secret == KEY:
        return f"{found.url} does not accept the key that {KEY} names", "is it a deploy key of that repository?"
    if found.secret:
        return f"{found.url} does not accept the token of {found.secret}", "it is wrong, has expired or has no right"
    return f"{found.url} asks who you are", _credentials(found.url)


def _credentials(url: str) -> str:
    return f"set {TOKEN} to a token that may read it" if is_http(url) else f"set {KEY} to the file of a key for it"


def no_ref(url: str, ref: str | None, near: list[str]) -> Refusal:
    """The repository has no such branch, tag or commit; `near` are names that it has."""
    if ref is None:
        return Refusal("url", f"the git repository {url} is empty", None)
    hint = f"did you mean {' or '.join(near)}?" if near else f"see what it has: git ls-remote {shlex.quote(url)}"
    return Refusal("ref", f"{url} has no branch, tag or commit {ref!r}", hint)
