"""The configuration of the first start: everything on loopback, nothing real."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from addons.sandbox.issuer_login import CONTROL_AUDIENCE, CONTROL_CLIENT
from addons.store.state_dir import create_private_file

POLICY = ("default.yaml", "packs/production.yaml")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the two sandbox processes say of themselves. `upstream_ca` signs the stand-in's certificate."""

    directory: Path
    issuer: str
    upstream_port: int
    upstream_ca: Path
    admin_port: int


def directory(state: Path) -> Path:
    return state / "sandbox"


def config_path(state: Path) -> Path:
    """Where `write_config` puts it."""
    return directory(state) / "ddgate.yaml"


def read_sandbox(state: Path) -> Sandbox:
    """Raises OSError or ValueError while the sandbox is not up."""
    here = directory(state)
    issuer = json.loads((here / "issuer" / "issuer.json").read_text())
    datadog = json.loads((here / "datadog" / "datadog.json").read_text())
    return Sandbox(
        here,
        str(issuer["issuer"]),
        int(datadog["port"]),
        here / "datadog" / "sandbox-ca.pem",
        int(datadog["admin_port"]),
    )


def write_config(sandbox: Sandbox, root: Path) -> Path:
    """`ddgate.yaml` for the sandbox, and the stand-in's keys in files, as a real installation has them."""
    keys = json.loads((sandbox.directory / "datadog" / "keys.json").read_text())
    for name, key in keys.items():
        path = sandbox.directory / f"{name}.key"
        path.unlink(missing_ok=True)
        create_private_file(path, f"{key}\n".encode())
    config = {
        "version": 1,
        "certs": str(root / "certs"),
        "policy": [str(root / "policies" / name) for name in POLICY],
        "issuers": [{"issuer": sandbox.issuer, "audience": "ddgate", "algorithms": ["RS256", "ES256"]}],
        "control": {
            "login": {
                "issuer": sandbox.issuer,
                "client_id": CONTROL_CLIENT,
                "audience": CONTROL_AUDIENCE,
                "algorithms": ["RS256", "ES256"],
            }
        },
        "credentials": {
            "default": {
                "api_key": {"file": "api_key.key"},
                "application_key": {"file": "application_key.key"},
            },
            "readonly": {
                "api_key": {"file": "readonly_api_key.key"},
                "application_key": {"file": "readonly_application_key.key"},
            },
        },
        "upstream": {
            "connect_to": {
                "*": {
                    "address": "127.0.0.1",
                    "port": sandbox.upstream_port,
                    "ca": str(sandbox.upstream_ca),
                }
            }
        },
    }
    path = config_path(sandbox.directory.parent)
    path.unlink(missing_ok=True)
    # JSON is YAML, and needs no care with quoting.
    create_private_file(path, json.dumps(config, indent=2).encode())
    return path
