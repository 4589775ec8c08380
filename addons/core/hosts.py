"""The closed registry of Datadog's sites and hosts.

A host is Datadog's when it is listed here, whole; there is no suffix match. The list is the sites and
servers of the official API client (2.62) and what the Agent, the tracers, datadog-ci and MCP clients dial.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SITES = (
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "us2.ddog-gov.com",
)


class HostRole(StrEnum):
    """What a host is for.

    Roles are for people and for operations that have a server of their own; no host is trusted more for
    its role.
    """

    API = "api"
    APP = "app"
    MCP = "mcp"
    IP_RANGES = "ip-ranges"
    ON_CALL = "on-call"
    AGENT = "agent"
    CONFIGURATION = "configuration"
    CI_INTAKE = "ci-intake"
    EVENTS_INTAKE = "events-intake"
    LOGS_INTAKE = "logs-intake"
    METRICS_INTAKE = "metrics-intake"
    PROCESS_INTAKE = "process-intake"
    NETWORK_INTAKE = "network-intake"
    DATABASE_INTAKE = "database-intake"
    PROFILES_INTAKE = "profiles-intake"
    TELEMETRY_INTAKE = "telemetry-intake"
    TRACES_INTAKE = "traces-intake"
    RUM_INTAKE = "rum-intake"


@dataclass(frozen=True, slots=True)
class DatadogHost:
    """`name` is in normal form (see `normalise_host`); `site` is one of `SITES`.

    Where several sites share a host (On-Call's `navy` also serves ddog-gov.com) `site` is the one that the
    host's own domain belongs to.
    """

    name: str
    site: str
    role: HostRole


_PREFIXES = {
    "api": HostRole.API,
    "app": HostRole.APP,
    "mcp": HostRole.MCP,
    "ip-ranges": HostRole.IP_RANGES,
    "http-intake.logs": HostRole.LOGS_INTAKE,
    "agent-http-intake.logs": HostRole.LOGS_INTAKE,
    "event-management-intake": HostRole.EVENTS_INTAKE,
    "cireport-intake": HostRole.CI_INTAKE,
    "ci-intake": HostRole.CI_INTAKE,
    "sourcemap-intake": HostRole.CI_INTAKE,
    "cicodescan-intake": HostRole.CI_INTAKE,
    "intake.synthetics": HostRole.CI_INTAKE,
    "citestcycle-intake": HostRole.CI_INTAKE,
    "citestcov-intake": HostRole.CI_INTAKE,
    "llmobs-intake": HostRole.TRACES_INTAKE,
    "public-trace-http-intake.logs": HostRole.TRACES_INTAKE,
    "trace.agent": HostRole.TRACES_INTAKE,
    "instrumentation-telemetry-intake": HostRole.TELEMETRY_INTAKE,
    "process": HostRole.PROCESS_INTAKE,
    "orchestrator": HostRole.PROCESS_INTAKE,
    "contlcycle-intake": HostRole.PROCESS_INTAKE,
    "contimage-intake": HostRole.PROCESS_INTAKE,
    "sbom-intake": HostRole.PROCESS_INTAKE,
    "config": HostRole.CONFIGURATION,
    "intake.profile": HostRole.PROFILES_INTAKE,
    "ndm-intake": HostRole.NETWORK_INTAKE,
    "ndmflow-intake": HostRole.NETWORK_INTAKE,
    "snmp-traps-intake": HostRole.NETWORK_INTAKE,
    "netpath-intake": HostRole.NETWORK_INTAKE,
    "dbm-metrics-intake": HostRole.DATABASE_INTAKE,
    "dbquery-intake": HostRole.DATABASE_INTAKE,
}

# The browser's and the mobile SDKs' intake: each a registrable domain of its own, outside its site's.
_RUM_INTAKES = {
    "browser-intake-datadoghq.com": "datadoghq.com",
    "browser-intake-us3-datadoghq.com": "us3.datadoghq.com",
    "browser-intake-us5-datadoghq.com": "us5.datadoghq.com",
    "browser-intake-ap1-datadoghq.com": "ap1.datadoghq.com",
    "browser-intake-ap2-datadoghq.com": "ap2.datadoghq.com",
    "browser-intake-uk1-datadoghq.com": "uk1.datadoghq.com",
    "browser-intake-datadoghq.eu": "datadoghq.eu",
    "browser-intake-ddog-gov.com": "ddog-gov.com",
    "browser-intake-us2-ddog-gov.com": "us2.ddog-gov.com",
}

# Which shard pages for which site: Datadog's API reference, On-Call Paging.
_ON_CALL_SHARDS = {
    "navy.oncall.datadoghq.com": "datadoghq.com",
    "teal.oncall.datadoghq.com": "us3.datadoghq.com",
    "coral.oncall.datadoghq.com": "us5.datadoghq.com",
    "saffron.oncall.datadoghq.com": "ap1.datadoghq.com",
    "lava.oncall.datadoghq.com": "ap2.datadoghq.com",
    "scarlet.oncall.datadoghq.com": "uk1.datadoghq.com",
    "beige.oncall.datadoghq.eu": "datadoghq.eu",
}

_REGISTERED = {
    host.name: host
    for host in (
        *(DatadogHost(f"{p}.{site}", site, role) for site in SITES for p, role in _PREFIXES.items()),
        *(DatadogHost(name, site, HostRole.RUM_INTAKE) for name, site in _RUM_INTAKES.items()),
        *(DatadogHost(name, site, HostRole.ON_CALL) for name, site in _ON_CALL_SHARDS.items()),
    )
}

# The Agent puts its version into a host name: 7-67-0-app.agent.SITE takes metrics, …-flare.agent.SITE flares.
_AGENT_VERSION = re.compile(r"[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,3}-(app|flare)", re.ASCII)
_AGENT_ROLES = {"app": HostRole.METRICS_INTAKE, "flare": HostRole.AGENT}
_AGENT_DOMAINS = {f"agent.{site}": site for site in SITES}

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# A last label that is a number makes the whole an IPv4 address to most parsers (WHATWG URL, "ends in a
# number"): 127.1, 0x7f.1 and 2130706433 included. No top-level domain is one.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_MAX_NAME = 253


def normalise_host(unverified_host: str) -> str | None:
    """Lower case and without its trailing dot, or None for what can't be a DNS host name.

    ASCII letters, digits and hyphens only (RFC 952, RFC 1123 section 2.1, RFC 1035 section 2.3.4), looked
    at before lowering: KELVIN SIGN lowers to `k`. No port, no brackets, no user, no escapes, no IP address.
    """
    if not unverified_host.isascii():
        return None
    name = unverified_host.lower().removesuffix(".")
    if not 0 < len(name) <= _MAX_NAME:
        return None
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMBER.fullmatch(labels[-1]):
        return None
    return name


def lookup(host: str) -> DatadogHost | None:
    """Find the registered host of that exact name; None for every other, one not in normal form included."""
    if (found := _REGISTERED.get(host)) is not None:
        return found
    first, _, rest = host.partition(".")
    site = _AGENT_DOMAINS.get(rest)
    if site is None or (match := _AGENT_VERSION.fullmatch(first)) is None:
        return None
    return DatadogHost(host, site, _AGENT_ROLES[match[1]])


def domains() -> tuple[str, ...]:
    """List the DNS subtrees that hold every registered host, for X.509 name constraints.

    Registrable domains (RFC 5280 section 4.2.1.10), sorted, without a leading dot.
    """
    return tuple(sorted({"datadoghq.com", "datadoghq.eu", "ddog-gov.com", *_RUM_INTAKES}))


def registered() -> tuple[DatadogHost, ...]:
    """Every host that is listed by name, so all but the Agent's versioned ones."""
    return tuple(_REGISTERED.values())


def examples() -> tuple[str, ...]:
    """Every name that is listed, and of each kind of the Agent's versioned ones a name that it could be."""
    versioned = (f"7-67-0-{kind}.agent.{site}" for kind in ("app", "flare") for site in SITES)
    return (*_REGISTERED, *versioned)
