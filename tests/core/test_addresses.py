from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.addresses import refusal_of

REFUSED_V4 = {
    "127.0.0.1": "loopback", "127.255.255.255": "loopback", "0.0.0.0": "unspecified", "0.1.2.3": "reserved",
    "10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private",
    "169.254.1.1": "link-local", "169.254.169.254": "metadata service", "168.63.129.16": "metadata service",
    "100.100.100.200": "metadata service", "169.254.170.2": "metadata service",
    "100.64.0.1": "carrier-grade NAT", "100.127.255.255": "carrier-grade NAT", "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking", "192.0.2.1": "documentation", "198.51.100.1": "documentation",
    "203.0.113.1": "documentation", "192.0.0.8": "reserved", "192.88.99.1": "6to4 relay",
    "224.0.0.1": "multicast", "239.255.255.255": "multicast", "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
}  # fmt: skip
REFUSED_V6 = {
    "::": "unspecified", "::1": "loopback", "fe80::1": "link-local", "febf::1": "link-local",
    "fec0::1": "site-local", "fc00::1": "unique local", "fdff::1": "unique local",
    "fd00:ec2::254": "metadata service", "ff02::1": "multicast", "100::1": "discard-only",
    "2001:db8::1": "documentation", "3fff::1": "documentation", "2001:2::1": "benchmarking",
    "2001:10::1": "reserved", "5f00::1": "segment routing", "4000::1": "reserved", "1::1": "reserved",
    "::8.8.8.8": "v4-compatible", "::127.0.0.1": "v4-compatible", "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4", "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "::ffff:127.0.0.1": "v4-mapped loopback", "::ffff:7f00:1": "v4-mapped loopback",
    "::ffff:169.254.169.254": "v4-mapped metadata service", "::ffff:10.1.2.3": "v4-mapped private",
    "64:ff9b::127.0.0.1": "NAT64 loopback", "64:ff9b::a9fe:a9fe": "NAT64 metadata service",
    "64:ff9b::100.64.0.1": "NAT64 carrier-grade NAT", "64:ff9b:1::8.8.8.8": "local NAT64",
    "64:ff9b:1:7f00:0:100::": "local NAT64", "64:ff9b::1:8.8.8.8": "reserved",
}  # fmt: skip
ODD = {
    "fe80::1%eth0": "scoped address", "2600:9000::1%1": "scoped address", "": "not an IP address",
    "127.1": "not an IP address", "2130706433": "not an IP address", "0x7f.0.0.1": "not an IP address",
    "0177.0.0.1": "not an IP address", "[2600:9000::1]": "not an IP address",
    "api.datadoghq.com": "not an IP address",
    "3.233.144.1/32": "not an IP address", "\u0663.233.144.1": "not an IP address",
}  # fmt: skip


@pytest.mark.parametrize(("address", "why"), (REFUSED_V4 | REFUSED_V6 | ODD).items())
def test_addresses_that_are_not_dialled_say_why(address: str, why: str) -> None:
    assert refusal_of(address) == why


@pytest.mark.parametrize(
    "address",
    ["3.233.144.1", "34.149.66.128", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1",
     "2600:9000:2000::1", "2a05:d014::1", "::ffff:3.233.144.1", "64:ff9b::3.233.144.1"],
)  # fmt: skip
def test_public_addresses_are_dialled(address: str) -> None:
    assert refusal_of(address) is None


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_not_global_is_dialled(
    address: IPv4Address | IPv6Address,
) -> None:
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or str(address).startswith("64:ff9b::")):
        return  # judged by what they embed, below
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert refusal_of(str(address)) is not None


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_never_treated_better_than_itself(inner: IPv4Address) -> None:
    low = int(inner)
    mapped, nat64 = IPv6Address((0xFFFF << 32) | low), IPv6Address((0x64FF9B << 96) | low)
    bare = refusal_of(str(inner))
    for outer in (mapped, nat64):
        assert (refusal_of(str(outer)) is None) == (bare is None)
    six_to_four = IPv6Address((0x2002 << 112) | (low << 80))
    teredo = IPv6Address((0x20010000 << 96) | (low ^ 0xFFFFFFFF))
    for outer in (six_to_four, teredo, IPv6Address(low), IPv6Address((0x64FF9B0001 << 80) | low)):
        assert refusal_of(str(outer)) is not None


@given(st.text(max_size=30))
def test_only_an_address_is_ever_dialled(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        assert refusal_of(text) is not None
