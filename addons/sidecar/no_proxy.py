"""`NO_PROXY`: which hosts the clients reach without a proxy.

There is no standard. curl, Go and urllib match whole labels, requests matches any tail of the host's name;
so whether an entry exempts Datadog is judged by the widest reading, and whether it exempts another host by
the narrow one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from addons.core import hosts

_SEPARATORS = re.compile(r"[,\s]+")
_PORT = re.compile(r":[0-9]+\Z")


def entries(value: str) -> tuple[str, ...]:
    return tuple(entry for entry in _SEPARATORS.split(value) if entry)


def from_environment(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Every entry of both spellings, in order and once."""
    found = (entry for name in ("no_proxy", "NO_PROXY") for entry in entries(environment.get(name, "")))
    return tuple(dict.fromkeys(found))


def covers_datadog(entry: str) -> bool:
    """Whether any known client could take the entry to exempt a Datadog host."""
    pattern = _PORT.sub("", entry.lower()).rstrip(".")
    tail = pattern.lstrip("*").lstrip(".")
    if not tail:
        return True  # `*` exempts everything
    if any(_shares_tail(tail, domain) for domain in hosts.domains()):
        return True
    return "*" in tail and any(fnmatchcase(host.name, f"*{tail}") for host in hosts.registered())


def _shares_tail(tail: str, domain: str) -> bool:
    return domain.endswith(tail) or tail.endswith(f".{domain}")


@dataclass(frozen=True, slots=True)
class NoProxy:
    """The entries that the caller's environment had, for what the listener itself dials."""

    entries: tuple[str, ...] = ()

    def exempts(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        return any(self._matches(entry.lower(), name) for entry in self.entries)

    def _matches(self, entry: str, name: str) -> bool:
        if entry == "*":
            return True
        if (network := _network(entry)) is not None:
            address = _address(name)
            return address is not None and address in network
        tail = _PORT.sub("", entry).lstrip("*").strip(".")
        return bool(tail) and (name == tail or name.endswith(f".{tail}"))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
