"""I9 on the way out, and abuse case 14: which names are dialled, and which addresses they may stand for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import connection
from mitmproxy.proxy import server_hooks
from mitmproxy.test import tflow

from addons import flowstate
from addons.store.dialling import Route
from addons.upstream import Upstream, listening_problem

API = "api.datadoghq.com"
PUBLIC = ("3.233.146.1", "2600:1f18:24e6:b900::1")


class Resolver:
    """Stands in for the system's resolver, which the test must not ask."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[object, object]] = []

    async def getaddrinfo(self, host: object, port: object, **_: int) -> list[Any]:
        self.asked.append((host, port))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in answer
        ]


@asynccontextmanager
async def resolving(resolver: Resolver, routes: dict[str, Route]) -> AsyncIterator[Upstream]:
    loop = asyncio.get_running_loop()
    original = loop.getaddrinfo
    loop.getaddrinfo = resolver.getaddrinfo  # type: ignore[method-assign]
    upstream = Upstream(routes)
    upstream.running()
    try:
        yield upstream
    finally:
        upstream.done()
        assert loop.getaddrinfo == resolver.getaddrinfo
        loop.getaddrinfo = original  # type: ignore[method-assign]


async def dialled(
    host: str | bytes, *answers: tuple[str, ...], routes: dict[str, Route] | None = None
) -> list[str]:
    async with resolving(Resolver(*answers), routes or {}):
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


async def test_public_addresses_are_dialled() -> None:
    assert await dialled(API, PUBLIC) == list(PUBLIC)


@pytest.mark.parametrize(
    "bad",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
    ],
)
@pytest.mark.parametrize("place", ["alone", "first", "last"])
async def test_abuse_14_one_bad_address_refuses_the_name(bad: str, place: str) -> None:
    answer = {"alone": (bad,), "first": (bad, *PUBLIC), "last": (*PUBLIC, bad)}[place]
    with pytest.raises(OSError, match="must not be dialled") as refused:
        await dialled(API, answer)
    assert bad not in str(refused.value)


async def test_abuse_14_each_dial_is_checked_and_what_was_checked_is_what_is_dialled() -> None:
    resolver = Resolver(PUBLIC, ("127.0.0.1",))
    async with resolving(resolver, {}):
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(API, 443)
        assert [one[4][0] for one in found] == list(PUBLIC)
        assert len(resolver.asked) == 1  # there is no second look-up between check and dial
        with pytest.raises(OSError, match="must not be dialled"):
            await loop.getaddrinfo(API, 443)


@pytest.mark.parametrize(
    "spelling", ["API.DATADOGHQ.COM", "api.datadoghq.com.", "Api.Datadoghq.Com.", b"api.datadoghq.com"]
)
async def test_abuse_14_no_spelling_of_the_name_escapes_the_check(spelling: str | bytes) -> None:
    with pytest.raises(OSError, match="must not be dialled"):
        await dialled(spelling, ("127.0.0.1",))


async def test_other_names_are_resolved_as_ever() -> None:
    """The issuer's, for one; they are not on the way to Datadog."""
    assert await dialled("localhost", ("127.0.0.1",)) == ["127.0.0.1"]


async def test_connect_to_is_dialled_instead_and_the_host_wins_over_the_star() -> None:
    routes = {API: Route("127.0.0.9", 4443, None), "*": Route("127.0.0.8", 5443, None)}
    resolver = Resolver(("127.0.0.9",))
    async with resolving(resolver, routes):
        loop = asyncio.get_running_loop()
        await loop.getaddrinfo(API, 443)
        await loop.getaddrinfo("app.datadoghq.com", 443)
        await loop.getaddrinfo("issuer.example", 443)
    assert resolver.asked == [("127.0.0.9", 4443), ("127.0.0.8", 5443), ("issuer.example", 443)]


def _hook(upstream: Upstream, address: tuple[str, int]) -> connection.Server:
    server = connection.Server(address=address)
    upstream.server_connect(server_hooks.ServerConnectionHookData(server, tflow.tclient_conn()))
    return server


@pytest.mark.parametrize(
    "address",
    [
        ("evil.example", 443),
        ("api.datadoghq.com.evil.example", 443),
        (API, 80),
        (API, 8443),
        ("127.0.0.1", 443),
        ("::1", 443),
        ("localhost", 443),
    ],
)
async def test_i9_nothing_but_a_datadog_host_on_443_is_dialled(address: tuple[str, int]) -> None:
    async with resolving(Resolver(PUBLIC), {}) as upstream:
        server = _hook(upstream, address)
    assert server.error
    assert not flowstate.may_dial(server)


async def test_i9_a_datadog_host_is_dialled_and_asked_for_by_its_name() -> None:
    async with resolving(Resolver(PUBLIC), {}) as upstream:
        server = _hook(upstream, ("API.datadoghq.com.", 443))
    assert (server.error, server.sni) == (None, API)
    assert flowstate.may_dial(server)


def test_i9_nothing_is_dialled_before_names_are_resolved_here() -> None:
    server = _hook(Upstream({"*": Route("127.0.0.1", 1, None)}), (API, 443))
    assert server.error
    assert not flowstate.may_dial(server)


@pytest.mark.parametrize("family", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_in_use_is_a_problem_and_a_free_one_is_not(family: tuple[int, str]) -> None:
    kind, host = family
    with socket.socket(kind) as taken:
        try:
            taken.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no such loopback")
        taken.listen()
        port = taken.getsockname()[1]
        assert listening_problem(host, port) == "Address already in use"
    assert listening_problem(host, port) is None
