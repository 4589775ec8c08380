from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.hosts import SITES, HostRole, domains, lookup, normalise_host, registered

API = "api.datadoghq.com"


@pytest.mark.parametrize("spelling", [API, "API.DATADOGHQ.COM", "Api.DatadogHQ.com.", f"{API}."])
def test_one_host_has_one_normal_form(spelling: str) -> None:
    assert normalise_host(spelling) == API


@pytest.mark.parametrize(
    "unverified_host",
    [
        "", ".", "..", f"{API}..", f".{API}", "api..datadoghq.com", f"{API}:443", f"{API}:", f"user@{API}",
        f"user:pw@{API}", "%61pi.datadoghq.com", f"{API}/", f"{API}\n", f" {API}", f"{API}\0.evil.com",
        f"{API}%00", "*.datadoghq.com", "api_x.datadoghq.com", "-api.datadoghq.com", "api-.datadoghq.com",
        # KELVIN SIGN, FULLWIDTH letters, IDEOGRAPHIC FULL STOP, CYRILLIC A, SOFT HYPHEN, SHARP S
        "to\u212aen.datadoghq.com", "\uff41pi.datadoghq.com",
        "api\u3002datadoghq.com", "\u0430pi.datadoghq.com",
        "api\u00ad.datadoghq.com", "\u00df.datadoghq.com",
        f"{'a' * 64}.datadoghq.com", ".".join(["a" * 63] * 4) + ".datadoghq.com",
        "127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "0177.0.0.1",
        "1.2.3.0x", "::1", "[::1]", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]", "64:ff9b::1",
        "fe80::1%eth0", "1",
    ],
)  # fmt: skip
def test_what_is_no_dns_host_name_is_none(unverified_host: str) -> None:
    assert normalise_host(unverified_host) is None


@given(st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9.\-]{1,40}", fullmatch=True))
def test_normalising_is_idempotent_and_gives_plain_names(unverified_host: str) -> None:
    name = normalise_host(unverified_host)
    if name is not None:
        assert normalise_host(name) == name
        assert name.isascii()
        assert name == name.lower()


@given(st.ip_addresses())
def test_no_ip_address_is_a_host_name(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    for spelling in (str(address), f"[{address}]", f"{address}.", str(int(address)), hex(int(address))):
        assert normalise_host(spelling) is None


@pytest.mark.parametrize(
    ("name", "site", "role"),
    [
        (API, "datadoghq.com", HostRole.API),
        ("app.datadoghq.eu", "datadoghq.eu", HostRole.APP),
        ("mcp.us5.datadoghq.com", "us5.datadoghq.com", HostRole.MCP),
        ("http-intake.logs.us2.ddog-gov.com", "us2.ddog-gov.com", HostRole.LOGS_INTAKE),
        ("trace.agent.uk1.datadoghq.com", "uk1.datadoghq.com", HostRole.TRACES_INTAKE),
        ("7-67-0-app.agent.datadoghq.com", "datadoghq.com", HostRole.METRICS_INTAKE),
        ("6-6-6-flare.agent.ap1.datadoghq.com", "ap1.datadoghq.com", HostRole.AGENT),
        ("browser-intake-us3-datadoghq.com", "us3.datadoghq.com", HostRole.RUM_INTAKE),
        ("browser-intake-us2-ddog-gov.com", "us2.ddog-gov.com", HostRole.RUM_INTAKE),
        ("beige.oncall.datadoghq.eu", "datadoghq.eu", HostRole.ON_CALL),
        ("teal.oncall.datadoghq.com", "us3.datadoghq.com", HostRole.ON_CALL),
    ],
)
def test_registered_hosts_know_their_site_and_role(name: str, site: str, role: HostRole) -> None:
    host = lookup(name)
    assert host is not None
    assert (host.name, host.site, host.role) == (name, site, role)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(
    "prefix",
    [
        "api", "app", "mcp", "http-intake.logs", "event-management-intake", "ip-ranges", "cireport-intake",
        "ci-intake", "sourcemap-intake", "cicodescan-intake", "intake.synthetics", "llmobs-intake",
        "instrumentation-telemetry-intake", "citestcycle-intake", "citestcov-intake",
        "public-trace-http-intake.logs", "trace.agent", "7-1-0-app.agent", "7-1-0-flare.agent", "process",
        "orchestrator", "config", "agent-http-intake.logs", "intake.profile", "contlcycle-intake",
        "contimage-intake", "sbom-intake", "ndm-intake", "ndmflow-intake", "snmp-traps-intake",
        "netpath-intake", "dbm-metrics-intake", "dbquery-intake",
    ],
)  # fmt: skip
def test_every_known_client_finds_its_host_on_every_site(prefix: str, site: str) -> None:
    host = lookup(f"{prefix}.{site}")
    assert host is not None
    assert host.site == site


@pytest.mark.parametrize(
    "name",
    [
        "datadoghq.com", "us3.datadoghq.com", "evil.com", f"{API}.evil.com", "xdatadoghq.com",
        "apidatadoghq.com", "api.xdatadoghq.com", "evil.datadoghq.com", "api.evil.datadoghq.com",
        "api.api.datadoghq.com", "x.trace.agent.datadoghq.com", "api.us9.datadoghq.com",
        "browser-intake-evil-datadoghq.com", "api.browser-intake-datadoghq.com", "navy.oncall.datadoghq.eu",
        "evil.oncall.datadoghq.com", "7-67-app.agent.datadoghq.com", "a-b-c-app.agent.datadoghq.com",
        "7-67-0-evil.agent.datadoghq.com", "7-67-0-app.datadoghq.com", "x7-67-0-app.agent.datadoghq.com",
        "7-67-0-app.agent.evil.com", "7-67-0-app.agent.datadoghq.com.evil.com",
        "7-67-0-appx.agent.datadoghq.com",
        "\u0667-67-0-app.agent.datadoghq.com",
        "7777-67-0-app.agent.datadoghq.com", "7-67-0000-app.agent.datadoghq.com",
        "", ".", f"{API}.",
        "API.datadoghq.com",
    ],
)  # fmt: skip
def test_i9_hosts_outside_the_registry_are_none(name: str) -> None:
    assert lookup(name) is None


@given(
    st.from_regex(r"[a-z0-9\-]{1,12}(\.[a-z0-9\-]{1,12}){0,2}", fullmatch=True), st.sampled_from(registered())
)
def test_i9_nothing_around_a_registered_host_is_registered(label: str, host: object) -> None:
    name = getattr(host, "name", "")
    assert lookup(f"{name}.{label}") is None
    assert lookup(f"{name}{label}") is None
    prefixed = lookup(f"{label}{name}")
    assert prefixed is None or prefixed in registered()


def test_every_registered_host_is_in_normal_form_and_below_a_named_domain() -> None:
    for host in registered():
        assert normalise_host(host.name) == host.name
        assert any(host.name == domain or host.name.endswith(f".{domain}") for domain in domains()), host
        assert host.site in SITES


def test_no_name_constraint_is_superfluous_or_a_public_suffix() -> None:
    for domain in domains():
        assert any(host.name == domain or host.name.endswith(f".{domain}") for host in registered())
        assert domain.count(".") == 1
        assert "datadoghq" in domain or "ddog-gov" in domain
