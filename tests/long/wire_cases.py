"""Hostile bytes for the gateway, made from a seed: case `n` of a seed is always the same.

Some are well-formed requests with odd contents, which must be answered; the others are such requests with
damage anywhere, and plain noise.
"""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from addons.core.body import encode_body
from tests.long.wire_pieces import (
    API,
    BODIES,
    CODINGS,
    FALSE_CODINGS,
    FIELDS,
    HOSTS,
    METHODS,
    PATH_PIECES,
    PATHS,
    QUERY_PIECES,
    SNIPPETS,
    Field,
)


class Where(StrEnum):
    """Straight to the listener; after a CONNECT but without TLS; in the TLS of a tunnel."""

    LISTENER = "listener"
    CONNECTED = "connected"
    TUNNEL = "tunnel"


@dataclass(frozen=True)
class Case:
    """`is_complete`: one request from its first byte to its last, so an answer is due. `authority`: what a
    well-formed CONNECT asks for."""

    number: int
    kind: str
    where: Where
    data: bytes
    is_complete: bool
    authority: str = ""

    @property
    def method(self) -> str:
        """The method that the answer is for; only HEAD and CONNECT change how an answer is read."""
        first = self.data.lstrip(b"\r\n").partition(b" ")[0]
        return first.decode() if first in {b"HEAD", b"CONNECT"} else "GET"


@dataclass(frozen=True)
class Surroundings:
    """What cases may aim at: a good token, ports of this machine that nobody may be led to."""

    token: str
    ports: Sequence[int]


def case(seed: int, number: int, around: Surroundings) -> Case:
    choose = random.Random(f"{seed}:{number}")  # noqa: S311 - to be had again from its seed
    kind = choose.choices(list(_KINDS), [weight for _, weight in _KINDS.values()])[0]
    return _KINDS[kind][0](choose, number, around)


def _target(choose: random.Random, number: int) -> str:
    path = choose.choice(PATHS)
    for _ in range(choose.choice([0, 0, 0, 1, 2])):
        at = choose.randint(1, len(path))
        path = path[:at] + choose.choice(PATH_PIECES) + path[at:]
    query = "".join(choose.choices(QUERY_PIECES, k=choose.choice([0, 0, 1, 2])))
    return f"{path}?case={number}{query}"


def _request(
    choose: random.Random,
    number: int,
    fields: Sequence[Field] = (),
    body: bytes | None = None,
    prefix: str = "",
) -> bytes:
    """A well-formed request of any method. With `prefix` its target is in absolute form."""
    method = choose.choice(METHODS)
    sent = choose.choice(BODIES) if body is None else body
    lines = [(b"Host", API.encode()), *fields]
    lines += choose.choices(FIELDS, k=choose.choice([0, 1, 2, 4]))
    if choose.random() < 0.3:
        lines.append((b"Transfer-Encoding", b"chunked"))
        sent = _chunked(choose, sent)
    elif sent or choose.random() < 0.5:
        lines.append((b"Content-Length", b"%d" % len(sent)))
    if choose.random() < 0.3:
        choose.shuffle(lines)
    head = f"{method} {prefix}{_target(choose, number)} HTTP/1.1\r\n".encode()
    return head + b"".join(name + b": " + value + b"\r\n" for name, value in lines) + b"\r\n" + sent


def _chunked(choose: random.Random, data: bytes) -> bytes:
    out, rest = b"", data
    while rest:
        size = choose.randint(1, max(1, len(rest)))
        extension = choose.choice([b"", b"", b";a=b"])
        out += b"%x%s\r\n%s\r\n" % (size, extension, rest[:size])
        rest = rest[size:]
    return out + b"0\r\n" + choose.choice([b"", b"", b"X-T: deadbeef\r\n"]) + b"\r\n"


def damaged(choose: random.Random, data: bytes) -> bytes:
    """One to four changes anywhere: a flipped bit, a piece gone, doubled or put in, the rest cut off."""
    changed = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        at = choose.randint(0, len(changed))
        match choose.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << choose.randrange(8)
            case 1:
                del changed[at : at + choose.randint(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + choose.randint(1, 40)]
            case 3 | 4:
                changed[at:at] = choose.choice(SNIPPETS)
            case _:
                del changed[max(at, len(changed) // 2) :]
    return bytes(changed)


def _well_formed(choose: random.Random, number: int, around: Surroundings) -> Case:
    return Case(number, "well-formed", Where.TUNNEL, _request(choose, number), is_complete=True)


def _damaged_request(choose: random.Random, number: int, around: Surroundings) -> Case:
    return Case(number, "damaged", Where.TUNNEL, damaged(choose, _request(choose, number)), is_complete=False)


def _truncated(choose: random.Random, number: int, around: Surroundings) -> Case:
    data = _request(choose, number)
    return Case(number, "truncated", Where.TUNNEL, data[: choose.randrange(len(data))], is_complete=False)


def _pipelined(choose: random.Random, number: int, around: Surroundings) -> Case:
    data = _request(choose, number) + _request(choose, number)
    return Case(number, "pipelined", Where.TUNNEL, data, is_complete=False)


def _coded_body(choose: random.Random, number: int, around: Surroundings) -> Case:
    coding = choose.choice(CODINGS)
    body = encode_body(choose.choice(BODIES), coding)
    if choose.random() < 0.2:
        body = (
            zlib.compress(b"\0" * 3_000_000, 9)
            if choose.random() < 0.5
            else encode_body(b"\0" * 3_000_000, coding)
        )
    if choose.random() < 0.6:
        body = damaged(choose, body)
    named = coding if choose.random() < 0.7 else choose.choice(CODINGS + FALSE_CODINGS)
    fields = [(b"Content-Encoding", named.encode("latin-1"))] * choose.choice([1, 1, 1, 2])
    data = _request(choose, number, fields, body)
    return Case(number, "coded body", Where.TUNNEL, data, is_complete=True)


def _bad_token(choose: random.Random, token: str) -> bytes:
    raw = token.encode()
    if choose.random() < 0.3:
        return raw
    if choose.random() < 0.5:
        at = choose.randrange(len(raw))
        return raw[:at] + bytes([choose.choice(b"AZaz09-_.=")]) + raw[at + 1 :]
    header, claims, signature = raw.split(b".")
    other = base64.urlsafe_b64encode(choose.randbytes(choose.choice([0, 10, 64, 256]))).rstrip(b"=")
    forged = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")
    return choose.choice(
        [
            *(
                b".".join([forged, claims, b""]),
                b".".join([header, other, signature]),
                b".".join([header, claims, other]),
            ),
            *(raw * 20, raw[: choose.randrange(len(raw))], b"", b"a.b.c", raw + b"." + raw, b"\xff" * 20),
        ]
    )


def _login(choose: random.Random, token: str) -> Field:
    sent = _bad_token(choose, token)
    basic = b"Basic " + base64.b64encode(b"agent:" + sent)
    return b"Proxy-Authorization", choose.choice(
        [basic, basic, b"Bearer " + sent, b"bearer  " + sent, sent, b"Basic " + sent, b"Negotiate x"]
    )


def _token_in_request(choose: random.Random, number: int, around: Surroundings) -> Case:
    sent = _bad_token(choose, around.token)
    name = choose.choice([b"DD-API-KEY", b"dd_api_key", b"X-DDGate-Identity", b"Proxy-Authorization"])
    value = choose.choice([sent, b"Bearer " + sent])
    data = _request(choose, number, [(name, value)])
    return Case(number, "token in request", Where.TUNNEL, data, is_complete=True)


def _connect(choose: random.Random, number: int, around: Surroundings) -> Case:
    host = choose.choice([API, choose.choice(HOSTS)])
    port = choose.choice(
        ["443", "443", "80", "0", "65536", "99999", "", "443x", "0443", *map(str, around.ports)]
    )
    authority = host if choose.random() < 0.05 else f"{host}:{port}"
    login = (b"Proxy-Authorization", f"Bearer {around.token}".encode())
    if choose.random() < 0.3:
        login = _login(choose, around.token)
    named = choose.choice([authority, authority, f"{API}:443"]).encode()
    lines = [(b"Host", named), login, *choose.choices(FIELDS, k=choose.choice([0, 0, 1]))]
    head = f"CONNECT {authority} HTTP/1.1\r\n".encode()
    data = head + b"".join(name + b": " + value + b"\r\n" for name, value in lines) + b"\r\n"
    return Case(number, "CONNECT", Where.LISTENER, data, is_complete=True, authority=authority)


def _damaged_connect(choose: random.Random, number: int, around: Surroundings) -> Case:
    data = damaged(choose, _connect(choose, number, around).data)
    return Case(number, "damaged CONNECT", Where.LISTENER, data, is_complete=False)


def _absolute(choose: random.Random, number: int, around: Surroundings) -> Case:
    scheme = choose.choice(["https://", "https://", "http://", "ftp://", "//"])
    prefix = (
        scheme + choose.choice([API, API, *HOSTS]) + choose.choice(["", ":443", ":80", f":{around.ports[0]}"])
    )
    data = _request(choose, number, [_login(choose, around.token)], prefix=prefix)
    if choose.random() < 0.5:
        return Case(number, "absolute form", Where.LISTENER, data, is_complete=True)
    return Case(number, "damaged absolute form", Where.LISTENER, damaged(choose, data), is_complete=False)


def _noise(choose: random.Random, number: int, around: Surroundings) -> Case:
    start = choose.choice(
        [
            b"",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"SSH-2.0-x\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x05\x01\x00",
            b"\r\n\r\n",
        ]
    )
    data = start + choose.randbytes(choose.randint(1, 300)) + choose.choice([b"", b"\r\n\r\n"])
    return Case(number, "noise", choose.choice(list(Where)), data, is_complete=False)


_KINDS: dict[str, tuple[Callable[[random.Random, int, Surroundings], Case], int]] = {
    "well-formed": (_well_formed, 20),
    "damaged": (_damaged_request, 25),
    "truncated": (_truncated, 4),
    "pipelined": (_pipelined, 4),
    "coded body": (_coded_body, 12),
    "token in request": (_token_in_request, 8),
    "CONNECT": (_connect, 8),
    "damaged CONNECT": (_damaged_connect, 5),
    "absolute form": (_absolute, 9),
    "noise": (_noise, 5),
}
