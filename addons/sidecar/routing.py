"""Which hosts' calls go to the gateway."""

from __future__ import annotations

from addons.core import hosts


def goes_to_gateway(unverified_host: str) -> bool:
    """Whether a host, as the client wrote it, is Datadog's or lies under one of Datadog's domains.

    Wider than the registry on purpose: what is under Datadog's domains and not registered must meet the
    gateway's refusal, never a direct dial.
    """
    normal = hosts.normalise_host(unverified_host)
    if normal is not None and hosts.lookup(normal) is not None:
        return True
    bare = unverified_host.lower().rstrip(".")
    return any(bare == domain or bare.endswith(f".{domain}") for domain in hosts.domains())
