"""One client of the soak: every kind of call, each with the statuses that it may get."""

from __future__ import annotations

import gzip
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable

from addons.core.redact.detectors.vendors import fill
from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway
from tests.long.caller import Answer, Caller
from tests.long.wire_pieces import API

ECHO = "/_sandbox/echo"
JSON = ("Content-Type", "application/json")
_PAUSE = 0.01  # seconds between the calls of one client, so that the clients don't starve the gateway
_LINES = [
    {"message": f"line {n} password=Tr0ub4dor-Zebra-{n} gh ghp_{fill(36)}", "note": "of no interest " * 50}
    for n in range(300)
]
_BIG = gzip.compress(json.dumps(_LINES).encode(), 6)


class Traffic:
    """`counts`: calls by kind; `wrong`: what got another answer than it should."""

    def __init__(self, gateway: Gateway, token: str, seed: int) -> None:
        self._gateway = gateway
        self._token = token
        self._choose = random.Random(seed)  # noqa: S311 - a mixture, the same each time
        self._caller = self._new_caller()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, done: threading.Event) -> None:
        """Until `done`, or until something went wrong."""
        kinds, weights = list(_KINDS), [weight for _, weight in _KINDS.values()]
        while not done.wait(_PAUSE) and not self.wrong:
            kind = self._choose.choices(kinds, weights)[0]
            self.counts[kind] += 1
            try:
                _KINDS[kind][0](self)
            except OSError as error:
                self.wrong.append(f"{kind}: {error!r}")
        self.leave()

    def once(self) -> None:
        self.read()
        assert not self.wrong, self.wrong

    def leave(self) -> None:
        self._caller.close()

    def read(self) -> None:
        self._expect(self._caller.call("GET", "/api/v1/monitor?name=soak"), 200)

    def log(self) -> None:
        body = json.dumps([{"message": f"password=Tr0ub4dor-Zebra-{self._choose.random()}"}]).encode()
        self._expect(self._caller.call("POST", "/api/v2/logs", body, [JSON]), 202)

    def write(self) -> None:
        monitor = {"name": "soak", "type": "metric alert", "query": "a > 1"}
        made = self._caller.call("POST", "/api/v1/monitor", json.dumps(monitor).encode(), [JSON])
        self._expect(made, 200)
        if made is not None and made.status == 200:
            number = json.loads(made.body)["id"]
            self._expect(self._caller.call("DELETE", f"/api/v1/monitor/{number}"), 200)

    def denied(self) -> None:
        self._expect(self._caller.call("POST", "/api/v2/api_keys", b'{"data": {}}', [JSON]), 403)

    def malformed(self) -> None:
        path = self._choose.choice(["/api/v1//monitor", "/api/v1/../x", "/x?_method=DELETE", "/%00"])
        self._expect(self._caller.call("GET", path), 400)

    def bad_token(self) -> None:
        bad = self._token[:-4] + "AAAA"
        opened = raw_client.connect(self._gateway.port, f"{API}:443", [raw_client.basic(bad)], 20)
        opened.close()
        status = opened.connected.status if opened.connected is not None else 0
        if status != 407:
            self.wrong.append(f"{status} to a CONNECT with a bad token")
        self._expect(self._caller.call("GET", "/api/v1/monitor", b"", [("DD-API-KEY", bad)]), 401)

    def echo(self) -> None:
        form = self._choose.choice(["json", "base64", "percent", "header", "location", "error"])
        coding = self._choose.choice(["gzip", "deflate", "br", "zstd"])
        target = f"{ECHO}?form={form}&encoding={coding}&chunked={self._choose.randrange(2)}"
        self._expect(self._caller.call("GET", target), 200, 302, 400)

    def broken_upstream(self) -> None:
        how = self._choose.choice(["close=1", "garbage=1"])
        self._expect(self._caller.call("GET", f"{ECHO}?{how}"), 502)

    def failing_upstream(self) -> None:
        self._expect(self._caller.call("GET", f"{ECHO}?status=503"), 503)

    def big(self) -> None:
        fields = [JSON, ("Content-Encoding", "gzip")]
        self._expect(self._caller.call("POST", f"{ECHO}?form=body", _BIG, fields), 200)
        self._expect(self._caller.call("GET", f"{ECHO}?size=300000&encoding=gzip"), 200)

    def too_big(self) -> None:
        head = raw_client.head(f"POST {ECHO} HTTP/1.1", [("Host", API), ("Content-Length", str(2 << 20))])
        caller = self._new_caller()
        self._expect(caller.exchange(head, "POST"), 413)
        caller.close()

    def leaves(self) -> None:
        """In the head, in the body, during the call, during the answer; politely or not."""
        caller = self._new_caller()
        body = b'{"message": "' + b"a" * 5000 + b'"}'
        whole = caller.request("POST", f"{ECHO}?delay=0.1&size=100000", body, [JSON])
        slow = self._choose.random() < 0.5
        length = len(whole) if slow else self._choose.randrange(len(whole))
        connection = caller.connection()
        connection.sendall(whole[:length])
        if self._choose.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if slow and self._choose.random() < 0.5:
            connection.recv(200)
        caller.close()

    def new_tunnel(self) -> None:
        self._caller.close()
        self.read()

    def _new_caller(self) -> Caller:
        return Caller(self._gateway.port, self._gateway.ca, API, self._token, 30)

    def _expect(self, answer: Answer | None, *statuses: int) -> None:
        if answer is None or answer.status not in statuses:
            self.wrong.append(f"{statuses} was due, and came: {str(answer)[:500]}")


_KINDS: dict[str, tuple[Callable[[Traffic], None], int]] = {
    "read": (Traffic.read, 20),
    "log": (Traffic.log, 20),
    "write": (Traffic.write, 10),
    "denied": (Traffic.denied, 10),
    "malformed": (Traffic.malformed, 5),
    "bad token": (Traffic.bad_token, 6),
    "echo": (Traffic.echo, 10),
    "broken upstream": (Traffic.broken_upstream, 2),
    "failing upstream": (Traffic.failing_upstream, 2),
    "big": (Traffic.big, 1),
    "too big": (Traffic.too_big, 2),
    "leaves": (Traffic.leaves, 8),
    "new tunnel": (Traffic.new_tunnel, 3),
}
