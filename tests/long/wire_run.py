"""Sends hostile cases to a gateway, and judges what came back and what came out on the other side."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import h11

from addons.core import hosts
from addons.core.body import decode_body
from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.test_abuse_credential import assert_absent
from tests.long.caller import Answer, Caller, read_answer
from tests.long.evidence import (
    Search,
    Trail,
    assert_log_is_calm,
    assert_on_record,
    assert_only_the_gateways_keys,
    descriptors_of,
    is_masked_form,
)
from tests.long.wire_cases import Case, Surroundings, Where, case
from tests.long.wire_pieces import API
from tests.sandbox_processes import Received, StandIn

WORKERS = 4
BATCH = 200
# Seconds. Where no answer is due, not coming is fine; it only must not be missed where it does.
_DUE, _NOT_DUE, _ANOTHER = 20.0, 0.15, 0.03
_TLS_RECORD = 0x16
_UNREAD = {400, 413, 431}


@dataclass
class Sent:
    """A case and what was answered. `unread` is what could not be read as an answer."""

    case: Case
    answers: list[Answer] = field(default_factory=list)
    unread: bytes = b""


class Canary:
    """A port of this machine that a gateway must not be led to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def assert_alone(self) -> None:
        readable, _, _ = select.select([self._socket], [], [], 0)
        assert not readable, "somebody was led to a port of this machine"

    def close(self) -> None:
        self._socket.close()


class Fuzzer:
    """`counts`: answers by status, and cases by kind."""

    def __init__(self, gateway: Gateway, datadog: StandIn, token: str, seed: int) -> None:
        self.gateway, self.datadog, self.seed = gateway, datadog, seed
        self.counts: Counter[str] = Counter()
        self._token = token
        self._canary = Canary()
        self._around = Surroundings(token, (self._canary.port, gateway.port))
        self._trail = Trail(gateway)
        self._local = threading.local()
        self._opened: list[Caller] = []
        self._search = Search(gateway, [token, *datadog.keys.values()])
        self._malformed = datadog.connections()["malformed"]

    def run(self, numbers: Sequence[int]) -> None:
        """Sends one batch and judges it. Raises AssertionError, which names the seed."""
        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                sent = list(pool.map(self._send, numbers))
            for caller in self._opened:
                caller.close()
            self._opened.clear()
            self._local = threading.local()
            self._judge(sent)
        except AssertionError as error:
            again = (
                f"DDGATE_FUZZ_SEED={self.seed} DDGATE_FUZZ_FROM={numbers[0]} DDGATE_FUZZ_CASES={len(numbers)}"
            )
            raise AssertionError(f"{error}\nonce more: {again}") from error

    def finish(self) -> None:
        self._canary.assert_alone()
        self._canary.close()
        self._search.recordings()
        self._search.assert_nothing_found()
        assert_log_is_calm(self.gateway)
        assert self.gateway.stop() == 0

    def descriptors(self) -> int:
        assert self.gateway.process is not None
        return descriptors_of(self.gateway.process.pid)

    def _caller(self) -> Caller:
        caller: Caller | None = getattr(self._local, "caller", None)
        if caller is None:
            caller = Caller(self.gateway.port, self.gateway.ca, API, self._token, _DUE)
            self._local.caller = caller
            self._opened.append(caller)
        return caller

    def _send(self, number: int) -> Sent:
        sent = Sent(case(self.seed, number, self._around))
        if sent.case.where is Where.TUNNEL:
            caller = self._caller()
            was_kept = caller.is_open
            is_kept = self._exchange(caller.connection(), sent)
            if was_kept and sent.case.is_complete and not sent.answers:
                # The case before asked for the connection to be closed, in one of many ways.
                caller.close()
                is_kept = self._exchange(caller.connection(), sent)
            if not is_kept:
                caller.close()
            return sent
        if sent.case.where is Where.LISTENER:
            opened = raw_client.plain(self.gateway.port)
        else:
            login = [raw_client.basic(self._token)]
            opened = raw_client.connect(self.gateway.port, f"{API}:443", login)
        with opened.connection as connection:
            self._exchange(connection, sent)
        return sent

    def _exchange(self, connection: socket.socket, sent: Sent) -> bool:
        """Whether the connection is good for another case."""
        one = sent.case
        connection.settimeout(_DUE if one.is_complete else _NOT_DUE)
        rest, method = b"", one.method
        with suppress(OSError):  # refused before its end; there may be an answer
            connection.sendall(one.data)
        try:
            while True:
                answer, rest = read_answer(connection, method, rest)
                if answer is None:
                    sent.unread = rest
                    return False
                sent.answers.append(answer)
                if answer.is_last or one.is_complete:
                    return not (answer.is_last or rest)
                connection.settimeout(_ANOTHER)
                method = "GET"
        except h11.RemoteProtocolError:
            # What follows an answer to a damaged head may be one to another method than was thought.
            sent.unread = b"" if sent.answers else b"no HTTP"
            return False

    def _judge(self, sent: Iterable[Sent]) -> None:
        wait_until(self._trail.is_settled, 20, "the outcome of every attempted call")
        received = self.datadog.requests()
        self.datadog.reset()
        assert_only_the_gateways_keys(received, self.datadog.keys)
        assert_on_record(received, self._trail.attempted.values())
        self._trail.attempted.clear()
        self._trail.outcomes.clear()
        assert self.datadog.connections()["malformed"] == self._malformed, "the upstream got what is no HTTP"
        self._canary.assert_alone()
        for one in sent:
            self._judge_answers(one, received)
        self._assert_serves()

    def _judge_answers(self, sent: Sent, received: Sequence[Received]) -> None:
        one = sent.case
        self.counts[one.kind] += 1
        is_tls = one.where is not Where.TUNNEL and one.data[:1] == bytes([_TLS_RECORD])
        assert not sent.unread.startswith(b"no HTTP") or is_tls, one
        assert sent.answers or not one.is_complete, f"no answer to {str(one)[:1200]}; read {sent.unread!r}"
        for answer in sent.answers:
            self.counts[str(answer.status)] += 1
            said = f"{str(answer)[:600]} to {str(one)[:1200]}"
            assert_absent(str(answer.headers).encode(), self.datadog.keys.values(), said)
            assert_absent(_decoded(answer.body, answer.headers), self.datadog.keys.values(), said)
            if one.method == "CONNECT" and answer.status == 200:
                assert not one.authority or _is_datadogs(one.authority), said
            elif answer.is_ddgates or (one.method == "HEAD" and answer.status in _UNREAD and answer.is_last):
                # The second form answers a head that could not be read: its method is anybody's guess.
                assert answer.status < 500, said
            else:
                assert any(_came_from(answer, each) for each in received), f"nobody's answer: {said}"

    def _assert_serves(self) -> None:
        caller = Caller(self.gateway.port, self.gateway.ca, API, self._token)
        answer = caller.call("GET", "/api/v1/validate?probe=1")
        caller.close()
        assert answer is not None, "the gateway serves no good call any more"
        assert (answer.status, answer.body.strip()) == (200, b'{"valid": true}'), answer


def _is_datadogs(authority: str) -> bool:
    name, _, port = authority.rpartition(":")
    host = hosts.normalise_host(name)
    return host is not None and hosts.lookup(host) is not None and int(port) == 443


def _came_from(answer: Answer, received: Received) -> bool:
    """The stand-in's own answer, but for the keys in it, which are masked."""
    if answer.status != received.status:
        return False
    if received.method == "HEAD":
        return not answer.body
    return is_masked_form(
        _decoded(answer.body, answer.headers), _decoded(received.answer, received.answer_headers)
    )


def _decoded(body: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    codings = [value for name, value in headers if name.lower() == "content-encoding"]
    return decode_body(body, ", ".join(codings), limit=1 << 26) if body else body
