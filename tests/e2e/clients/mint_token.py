"""Prints a new token: ISSUER_DIRECTORY CLIENT_ID TTL LIST, where LIST is the file that keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

from addons.sandbox.issuer_client import fetch_token

directory, client_id, ttl, tokens = sys.argv[1:]
token = fetch_token(Path(directory), client_id, ttl=int(ttl))
with Path(tokens).open("a") as file:
    file.write(token + "\n")
print(token)  # noqa: T201 - what a token command is for
