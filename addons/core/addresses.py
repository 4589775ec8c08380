"""Which addresses a Datadog name may resolve to: public ones.

Anything else is a broken resolver or DNS rebinding, and dialling it would carry a Datadog key into
somebody's network.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# Cloud metadata services. Some stand at addresses that are public by number.
_METADATA = {
    IPv4Address("169.254.169.254"),  # AWS, GCP, Azure and more
    IPv4Address("169.254.170.2"),  # ECS task credentials
    IPv4Address("168.63.129.16"),  # Azure's wire server
    IPv4Address("100.100.100.200"),  # Alibaba
    IPv4Address("192.0.0.192"),  # Oracle classic
    IPv6Address("fd00:ec2::254"),  # AWS
    IPv6Address("fd20:ce::254"),  # GCP
}

# The IANA special-purpose registry (RFC 6890), its globally reachable entries left out; first match names it.
_V4 = [
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/32", "unspecified"),
        ("0.0.0.0/8", "reserved"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
]
_V6 = [
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        # Deprecated or local translation: the IPv4 address inside is reached by whoever runs the relay.
        ("::/96", "v4-compatible"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("2001::/32", "Teredo"),
        ("2002::/16", "6to4"),
        ("100::/64", "discard-only"),
        ("2001:2::/48", "benchmarking"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("2001::/23", "reserved"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
]
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address


def refusal_of(ip: str) -> str | None:
    """Why this address must not be dialled, in a few words that show no part of it; None if it may be.

    IPv4-mapped and NAT64 (RFC 6052) addresses are judged by the IPv4 address inside. 6to4, Teredo,
    v4-compatible and local-use NAT64 (RFC 8215) are refused whole: Datadog is at none of them, and where
    the last keeps its IPv4 address depends on a prefix length that only its network knows.
    """
    if "%" in ip:
        return "scoped address"
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "not an IP address"
    if address in _METADATA:
        return "metadata service"
    if isinstance(address, IPv4Address):
        return next((why for network, why in _V4 if address in network), None)
    if address.ipv4_mapped is not None:
        return _within("v4-mapped", address.ipv4_mapped)
    if address in _NAT64:
        return _within("NAT64", IPv4Address(int(address) & 0xFFFF_FFFF))
    named = next((why for network, why in _V6 if address in network), None)
    return named or (None if address in _GLOBAL_UNICAST else "reserved")


def _within(form: str, inner: IPv4Address) -> str | None:
    why = refusal_of(str(inner))
    return None if why is None else f"{form} {why}"
