"""Regenerates `operations.json` from the official Python client that is installed.

    python -m policies.generate_operations [--check]

Every operation that the client names, one a line, sorted by version, path and method. `--check` changes
nothing and ends with 1 when the file is not what the installed client gives.

What other clients call, and this one doesn't name, stands in `extra_operations.json`, written by hand and
marked by its version, `ddgate`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datadog_api_client import ApiClient, Configuration, version
from datadog_api_client.api_client import Endpoint

from addons.core import hosts
from addons.core.model import Json
from addons.core.risk import classify

OUTPUT = Path(__file__).with_name("operations.json")
VERSIONS = ("v1", "v2")

_IMPORT = re.compile(r"^from datadog_api_client\.v\d\.model\.(\w+) import (?:\(\s*)?(\w+)", re.MULTILINE)
_DEPRECATED = re.compile(r'warnings\.warn\("(\w+) is deprecated"')


def client_endpoints() -> Iterator[tuple[type[Any], Endpoint]]:
    """Every endpoint object of the installed client, with the API class that holds it."""
    client = ApiClient(Configuration())  # type: ignore[no-untyped-call] # the client's own gap
    for api_version in VERSIONS:
        apis = importlib.import_module(f"datadog_api_client.{api_version}.apis")
        classes: list[tuple[str, Any]] = inspect.getmembers(apis, inspect.isclass)
        for _, api in classes:
            for value in vars(api(client)).values():
                if isinstance(value, Endpoint):
                    yield api, value


def render() -> str:
    """Write out the whole text of `operations.json`."""
    unstable = Configuration().unstable_operations  # type: ignore[no-untyped-call] # as above
    spelling = _spelling()
    endpoints = list(client_endpoints())
    deprecated = {
        api: set(_DEPRECATED.findall(inspect.getsource(sys.modules[api.__module__]))) for api, _ in endpoints
    }
    entries: list[dict[str, Json]] = []
    for api, endpoint in endpoints:
        settings = endpoint.settings
        operation_id = settings["operation_id"]
        api_version, template = settings["version"], settings["endpoint_path"]
        risks = classify(operation_id, settings["http_method"], template, settings["auth"])
        entry: dict[str, Json] = {
            "name": "".join(spelling.get(word, word.capitalize()) for word in operation_id.split("_")),
            "version": api_version,
            "method": settings["http_method"],
            "template": template,
            "tags": [_tag(api)],
            "risk": [risk.value for risk in risks],
        }
        if f"{api_version}.{operation_id}" in unstable:
            entry["unstable"] = True
        if operation_id in deprecated[api]:
            entry["deprecated"] = True
        if servers := settings.get("servers"):
            entry["host"] = _role(servers)
        if repeatable := _repeatable(endpoint):
            entry["repeatable"] = list[Json](repeatable)
        entries.append(entry)
    entries.sort(key=lambda entry: tuple(str(entry[key]) for key in ("version", "template", "method")))
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    return f'{{"source":"datadog-api-client {version.__version__}","operations":[\n{lines}\n]}}\n'


def _spelling() -> dict[str, str]:
    """How Datadog writes each word of a name: the client's module `aws_account` holds `AWSAccount`."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for api_version in VERSIONS:
        models = importlib.import_module(f"datadog_api_client.{api_version}.models")
        for module, name in _IMPORT.findall(Path(str(models.__file__)).read_text(encoding="utf-8")):
            at = 0
            for word in module.split("_"):
                written = name[at : at + len(word)]
                at += len(word)
                if written.lower() != word:
                    break
                seen[word][written] += 1
    # The most frequent; of two that are as frequent the one with more capitals, so that the result is one.
    return {word: min(forms, key=lambda form: (-forms[form], form)) for word, forms in seen.items()}


def _tag(api: type) -> str:
    return api.__module__.rsplit(".", 1)[1].removesuffix("_api").replace("_", "-")


def _role(servers: list[dict[str, Any]]) -> str:
    """Look up the role of an operation's own server.

    Raises:
        SystemExit: the registry doesn't know one of the hosts that the client may use.

    """
    roles = set()
    variables = servers[0]["variables"]
    for site in variables["site"]["enum_values"]:
        subdomain = variables.get("subdomain", {}).get("default_value")
        name = f"{subdomain}.{site}" if subdomain else site
        host = hosts.lookup(name)
        if host is None:
            sys.exit(f"{name} is missing in addons/core/hosts.py")
        roles.add(host.role)
    (role,) = roles
    return str(role.value)


def _repeatable(endpoint: Endpoint) -> list[str]:
    return sorted(
        parameter["attribute"]
        for parameter in endpoint.params_map.values()
        if parameter.get("location") == "query" and parameter.get("collection_format") == "multi"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Regenerate the operation catalogue.")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    check: bool = parser.parse_args().check
    text = render()
    if not check:
        OUTPUT.write_text(text, encoding="utf-8")
        return 0
    if OUTPUT.exists() and OUTPUT.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{OUTPUT.name} is not current: run python -m policies.generate_operations\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
