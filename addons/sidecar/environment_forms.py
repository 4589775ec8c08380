"""The variables that lead an agent to the gateway, written out for a shell, an image or a pod.

There is no listener in between, so the proxy URL is the gateway's own and holds the token. The token itself
is never written: each form says where it is read when the agent starts, and nothing renews it afterwards.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from addons.sidecar.environment import (
    NODE_SHIM,
    PROXIES_WITH_LOGIN,
    PYTHON_SHIM,
    SHIM_DIRECTORY,
    Pointers,
    child_environment,
)
from addons.sidecar.upstreams import Gateway
from addons.sidecar.workload_tokens import (
    AWS_FILE,
    AZURE_AUTHORITY,
    AZURE_CLIENT,
    AZURE_FILE,
    AZURE_TENANT,
    CLIENT_ASSERTION,
    GITHUB_TOKEN,
    GITHUB_URL,
    GITLAB_VARIABLE,
    KUBERNETES_FILE,
    SPIFFE_FILE,
    Workload,
)

_USER = "agent"
_PLACEHOLDER = "${DDGATE_TOKEN}"
_HOME = "/opt/ddgate"
_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_IMAGE_TOKEN_FILE = "/run/secrets/ddgate-token"  # noqa: S105 - a file's name
_ONLY_DATADOG = "The gateway refuses every host but Datadog's: set this for the agent and nothing else."


class _Plain(yaml.SafeDumper):
    """Writes out what stands twice: people copy single parts of it."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base's signature
        return True


@dataclass(frozen=True, slots=True)
class Reached:
    """Where the gateway is, and the files with the CAs that its agents need."""

    gateway: Gateway
    cas: Sequence[Path]

    @property
    def proxy_url(self) -> str:
        scheme, _, authority = str(self.gateway).partition("://")
        return f"{scheme}://{_USER}:{_PLACEHOLDER}@{authority}"


def for_shell(
    variables: Mapping[str, str], reached: Reached, read_token: str, bundle: Path, warn: Callable[[str], None]
) -> str:
    """What a POSIX shell evaluates; `variables` are those it has, `read_token` its words for the token."""
    wanted = _environment(variables, reached, bundle, SHIM_DIRECTORY, warn)
    lines = [f"# {_ONLY_DATADOG}", f"ddgate_token={read_token}"]
    for name, value in wanted.items():
        if variables.get(name) != value:
            before, there, after = value.partition(_PLACEHOLDER)
            token = f'"$ddgate_token"{shlex.quote(after)}' if there else ""
            lines.append(f"export {name}={shlex.quote(before)}{token}")
    lines += [f"unset {name}" for name in sorted(variables.keys() - wanted.keys())]
    return "\n".join([*lines, "unset ddgate_token", ""])


def for_json(
    variables: Mapping[str, str], reached: Reached, bundle: Path, warn: Callable[[str], None]
) -> str:
    """One object: the variables to `set`, in which `${DDGATE_TOKEN}` stands for the token, and to `unset`."""
    wanted = _environment(variables, reached, bundle, SHIM_DIRECTORY, warn)
    changed = {name: value for name, value in wanted.items() if variables.get(name) != value}
    return json.dumps({"set": changed, "unset": sorted(variables.keys() - wanted.keys())}, indent=2) + "\n"


def for_dockerfile(reached: Reached) -> str:
    """Lines for an agent's Dockerfile. The image holds no token: it is mounted at each start."""
    names = [path.name for path in reached.cas]
    fixed = [f"{name}={value}" for name, value in _fixed(reached).items()]
    start = json.dumps(["sh", "-c", _start(reached, _IMAGE_TOKEN_FILE)])
    copied = " ".join(f"{_HOME}/{name}" for name in names)
    return "\n".join(
        (
            f"# {_ONLY_DATADOG}",
            f"# Into the build context: {', '.join(names)}, and shim/ out of addons/sidecar.",
            f"# At each start, a token that outlives the run: -v ./token:{_IMAGE_TOKEN_FILE}:ro",
            f"COPY {' '.join(names)} {_HOME}/",
            f"COPY shim/{PYTHON_SHIM} shim/{NODE_SHIM} {_HOME}/shim/",
            f"RUN cat {_SYSTEM_BUNDLE} {copied} > {_HOME}/ca-bundle.pem",
            "ENV " + " \\\n    ".join(fixed),
            f"ENTRYPOINT {start}",
            'CMD ["my-agent"]',
            "",
        )
    )


def for_kubernetes(reached: Reached, audience: str) -> str:
    """What the `spec` of an agent's pod needs, as YAML; the token is a projected one."""
    names = [path.name for path in reached.cas]
    shims = (f"shim/{name}" for name in (PYTHON_SHIM, NODE_SHIM))
    sources = " ".join(f"--from-file={name}" for name in (*names, *shims))
    head = (
        f"# {_ONLY_DATADOG}",
        f"# With shim/ out of addons/sidecar: kubectl create configmap ddgate {sources}",
        "# The token is read once, at the start; an agent that outlives it needs `ddgate run` in its image.",
    )
    given = {"name": "ddgate", "configMap": {"name": "ddgate"}}
    made = {"name": "ddgate-bundle", "emptyDir": {}}
    projected = {"audience": audience, "expirationSeconds": 3600, "path": KUBERNETES_FILE.name}
    token = {"name": "ddgate-token", "projected": {"sources": [{"serviceAccountToken": projected}]}}
    copied = " ".join(f"{_HOME}/shim/{name}" for name in names)
    mounts = [
        {"name": "ddgate-bundle", "mountPath": _HOME},
        {"name": "ddgate", "mountPath": f"{_HOME}/shim", "readOnly": True},
    ]
    bundle = {
        "name": "ddgate-bundle",
        "image": "my-agent",
        "command": ["sh", "-c", f"cat {_SYSTEM_BUNDLE} {copied} > {_HOME}/ca-bundle.pem"],
        "volumeMounts": mounts,
    }
    token_mount = {"name": "ddgate-token", "mountPath": str(KUBERNETES_FILE.parent), "readOnly": True}
    agent = {
        "name": "agent",
        "image": "my-agent",
        "command": ["sh", "-c", _start(reached, str(KUBERNETES_FILE)), "my-agent"],
        "env": [{"name": name, "value": value} for name, value in _fixed(reached).items()],
        "volumeMounts": [*mounts, token_mount],
    }
    spec = {"initContainers": [bundle], "containers": [agent], "volumes": [given, made, token]}
    return "\n".join((*head, yaml.dump(spec, Dumper=_Plain, sort_keys=False, width=110)))


def token_file_command(path: Path) -> str:
    """For `for_shell`: read a file."""
    return f"$(cat {shlex.quote(str(path))})"


def token_shell_command(command: str) -> str:
    """For `for_shell`: run what the caller named."""
    return f"$(\n{command}\n)"


def workload_command(workload: Workload, audience: str) -> str:
    """For `for_shell`: what this place gives. No token is an argument of a program."""
    match workload:
        case Workload.GITHUB:
            url = f'"${GITHUB_URL}&audience={audience}"'
            login = f"printf 'Authorization: Bearer %s' \"${GITHUB_TOKEN}\""
            value = """sed 's/.*"value" *: *"\\([^"]*\\)".*/\\1/'"""
            return f"$({login} | curl -sSf -H @- {url} | {value})"
        case Workload.GITLAB:
            return f"${GITLAB_VARIABLE}"
        case Workload.KUBERNETES:
            return token_file_command(KUBERNETES_FILE)
        case Workload.GOOGLE:
            place = "metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"
            return (
                f"$(curl -sSf -H 'Metadata-Flavor: Google' 'http://{place}?format=full&audience={audience}')"
            )
        case Workload.AZURE:
            form = (
                "-d grant_type=client_credentials "
                f"-d client_assertion_type={CLIENT_ASSERTION} "
                f'--data-urlencode "client_assertion@${AZURE_FILE}" '
                f'--data-urlencode "client_id=${AZURE_CLIENT}" '
                f"--data-urlencode 'scope={audience}/.default'"
            )
            url = f'"${{{AZURE_AUTHORITY}%/}}/${AZURE_TENANT}/oauth2/v2.0/token"'
            value = """sed 's/.*"access_token" *: *"\\([^"]*\\)".*/\\1/'"""
            return f"$(curl -sSf {form} {url} | {value})"
        case Workload.AWS:
            return f'$(cat "${AWS_FILE}")'
        case Workload.SPIFFE:
            return token_file_command(SPIFFE_FILE)


def _environment(
    variables: Mapping[str, str],
    reached: Reached,
    bundle: Path,
    shim: Path,
    warn: Callable[[str], None],
) -> dict[str, str]:
    return child_environment(
        variables, Pointers(reached.proxy_url, bundle, (), shim, reaches_all=False), warn
    )


def _fixed(reached: Reached) -> dict[str, str]:
    """What an image or a pod can hold: all but the URLs that end with the token."""
    made = _environment({}, reached, Path(_HOME, "ca-bundle.pem"), Path(_HOME, "shim"), _nothing_to_tell)
    return {name: value for name, value in made.items() if name not in PROXIES_WITH_LOGIN}


def _nothing_to_tell(_: str) -> None:
    """An empty environment has nothing that could be missed."""


def _start(reached: Reached, token_file: str) -> str:
    """A shell's text that runs its arguments as a command, with the token that `token_file` holds."""
    url = reached.proxy_url.replace(_PLACEHOLDER, f"$(cat {token_file})")
    exported = " ".join(f"{name}=$url" for name in PROXIES_WITH_LOGIN)
    return f'url="{url}"; export {exported}; exec "$0" "$@"'
