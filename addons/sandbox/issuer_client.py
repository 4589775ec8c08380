"""Getting a token from the running development issuer."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from pathlib import Path

from addons.sandbox.issuer_clients import Clients
from addons.sandbox.lifecycle import LOOPBACK, SandboxError, read_json_object

_TIMEOUT_SECONDS = 10.0


def fetch_token(
    dir: Path,  # noqa: A002 - named as the program's option
    client_id: str,
    *,
    ttl: int | None = None,
    on_behalf_of: str | None = None,
    audience: str | None = None,
) -> str:
    """Get a signed token for a client that `clients.json` in `dir` names; `ttl` in seconds. It is one for the
    gateway where no `audience` is given.

    Goes straight to loopback, whatever proxy the environment names. Raises SandboxError where the issuer
    doesn't run, doesn't know the client, or refuses.
    """
    ready = read_json_object(dir / "issuer.json")
    if ready is None or not isinstance(port := ready.get("port"), int):
        raise SandboxError(
            f"no sandbox issuer runs on {dir}; start it with python -m addons.sandbox.issuer --dir {dir}"
        )
    client = Clients(dir).find(client_id)
    if client is None:
        raise SandboxError(f"{client_id} is not in {dir / 'clients.json'}; add it there")
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
    }
    if ttl is not None:
        form["ttl"] = str(ttl)
    if on_behalf_of is not None:
        form["on_behalf_of"] = on_behalf_of
    if audience is not None:
        form["audience"] = audience
    path = urllib.parse.urlsplit(str(ready.get("issuer"))).path + "/token"
    status, answer = _post_form(port, path, form)
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str):
        said = answer.get("error_description", "no reason given") if isinstance(answer, dict) else "no JSON"
        raise SandboxError(f"the sandbox issuer gave no token for {client_id} ({status}: {said})")
    return token


def _post_form(port: int, path: str, form: dict[str, str]) -> tuple[int, object]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST", path, urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"}
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        raise SandboxError(f"the sandbox issuer on port {port} doesn't answer; is it running?") from error
    except ValueError:
        return response.status, None
    finally:
        connection.close()
