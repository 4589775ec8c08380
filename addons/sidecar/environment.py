"""The environment of the child: the caller's, pointed at the listener, without tokens and Datadog keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from addons.sidecar import no_proxy
from addons.sidecar.ca_bundle import CALLERS_BUNDLES

SHIM_DIRECTORY = Path(__file__).parent / "shim"
PYTHON_SHIM, NODE_SHIM = "sitecustomize.py", "follow_proxy.cjs"
"""What an agent's interpreter loads first, in that directory."""

# datadogpy and datadog-ci refuse to start without keys, and some look at the form. Zeros are nobody's.
DUMMY_API_KEY = "0" * 32
DUMMY_APP_KEY = "0" * 40

_HTTPS_PROXIES = ("HTTPS_PROXY", "https_proxy", "DD_PROXY_HTTPS")  # the last is the Agent's
_HTTP_PROXIES = ("HTTP_PROXY", "http_proxy", "DD_PROXY_HTTP")
SHIM_PROXY = "DDGATE_RUN_PROXY"
PROXIES_WITH_LOGIN = (*_HTTPS_PROXIES, SHIM_PROXY)
"""What holds the proxy URL where that is the gateway's own."""
_NO_PROXIES = ("NO_PROXY", "no_proxy", "DD_PROXY_NO_PROXY")
_OTHER_BUNDLES = ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",)  # OpenTelemetry over gRPC
_KEYS = ("DD_API_KEY", "DD_APP_KEY", "DD_APPLICATION_KEY", "DATADOG_API_KEY", "DATADOG_APP_KEY")


@dataclass(frozen=True, slots=True)
class Pointers:
    """What the child is pointed at.

    `proxy_url` holds the run's secret; `secret_variables` are the caller's variables that held a token.
    `reaches_all` is whether that proxy leads to hosts other than Datadog's too.
    """

    proxy_url: str = field(repr=False)
    bundle: Path
    secret_variables: Collection[str] = ()
    shim: Path = SHIM_DIRECTORY
    reaches_all: bool = True


def child_environment(
    parent: Mapping[str, str], pointers: Pointers, warn: Callable[[str], None]
) -> dict[str, str]:
    """Make the child's variables; `warn` gets a line for each that the caller may miss, never its value."""
    child = {name: value for name, value in parent.items() if name not in pointers.secret_variables}
    _replace_keys(child, warn)
    _drop_exemptions(child, warn)
    child.update(dict.fromkeys(_HTTPS_PROXIES, pointers.proxy_url))
    if pointers.reaches_all:
        child.update(dict.fromkeys(_HTTP_PROXIES, pointers.proxy_url))
    for name in ("ALL_PROXY", "all_proxy"):
        # Clients ask it for ws:// and wss:// too: as it was, those would go around.
        if name in child:
            child[name] = pointers.proxy_url
    bundle = str(pointers.bundle)
    child.update(dict.fromkeys((*CALLERS_BUNDLES, *_OTHER_BUNDLES), bundle))
    child["NODE_USE_ENV_PROXY"] = "1"
    child["PYTHONPATH"] = _first_on_path(str(pointers.shim), parent.get("PYTHONPATH", ""))
    node_shim = str(pointers.shim / NODE_SHIM)
    child["NODE_OPTIONS"] = _first_required(node_shim, parent.get("NODE_OPTIONS", ""))
    # The shim's own copy: a program that clears its proxy variables doesn't mean Datadog's clients by that.
    child[SHIM_PROXY] = pointers.proxy_url
    child["DDGATE_RUN_CA"] = bundle
    return child


def _replace_keys(child: dict[str, str], warn: Callable[[str], None]) -> None:
    for name in _KEYS:
        value = child.pop(name, "")
        if value not in ("", DUMMY_API_KEY, DUMMY_APP_KEY):
            warn(f"{name} is kept from the command: ddgate has the key, and the command needs none")
    child["DD_API_KEY"] = DUMMY_API_KEY
    child["DD_APP_KEY"] = DUMMY_APP_KEY


def _drop_exemptions(child: dict[str, str], warn: Callable[[str], None]) -> None:
    for name in _NO_PROXIES:
        value = child.get(name)
        if value is None:
            continue
        entries = no_proxy.entries(value)
        kept = [entry for entry in entries if not no_proxy.covers_datadog(entry)]
        if len(kept) == len(entries):
            continue
        dropped = ", ".join(entry for entry in entries if entry not in kept)
        warn(f"{name} loses {dropped}: it would lead Datadog's hosts around the gateway")
        if kept:
            child[name] = (" " if name == "DD_PROXY_NO_PROXY" else ",").join(kept)
        else:
            del child[name]


def _first_required(file: str, options: str) -> str:
    if any(character in file for character in ' "\\'):
        # Within double quotes Node takes a backslash to stand for the character after it.
        escaped = file.replace("\\", "\\\\").replace('"', '\\"')
        file = f'"{escaped}"'
    first = f"--require={file}"
    return options if first in options else f"{first} {options}".rstrip()


def _first_on_path(first: str, path: str) -> str:
    rest = [entry for entry in path.split(os.pathsep) if entry != first] if path else []
    return os.pathsep.join((first, *rest))
