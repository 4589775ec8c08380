"""What a gateway left behind, against what its upstream got: the trail, the recordings, the files."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.io import FlowReader

from addons.core.body import decode_body
from addons.core.redact.masking.mask import MASK
from tests.e2e.gateway_process import Gateway
from tests.e2e.test_abuse_credential import assert_absent
from tests.sandbox_processes import Received

type Record = dict[str, Any]

_NO_CREDENTIAL_OF_THE_CLIENT = ("authorization", "proxy-authorization", "cookie", "x-ddgate-identity")
_LIMIT = 64 * 1024 * 1024


class _Records:
    """The audit records of one gateway, read from its database as they come to be. None may be missing
    between them (I12)."""

    def __init__(self, gateway: Gateway) -> None:
        self._database = gateway.state / "audit.sqlite3"
        self._last = 0

    def new(self) -> Iterator[Record]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT idx, body FROM records WHERE idx > ? ORDER BY idx", (self._last,)
            )
            for index, body in rows:
                assert index == self._last + 1 or not self._last, f"record {self._last + 1} is missing"
                self._last = index
                yield json.loads(body)


class Trail:
    """`attempted` and `outcomes` by call. No call has two of a kind."""

    def __init__(self, gateway: Gateway) -> None:
        self._records = _Records(gateway)
        self.attempted: dict[str, Record] = {}
        self.outcomes: dict[str, Record] = {}

    def read(self) -> None:
        tables = {"attempted": self.attempted, "outcome": self.outcomes}
        for record in self._records.new():
            table = tables.get(record["kind"])
            if table is not None:
                assert record["call"] not in table, f"a second {record['kind']} of {record['call']}"
                table[record["call"]] = record

    def is_settled(self) -> bool:
        """Every call that was attempted has its outcome, and the other way round."""
        self.read()
        return self.attempted.keys() == self.outcomes.keys()


class OpenCalls:
    """Calls that were attempted and have no outcome yet; of the others only the number is kept."""

    def __init__(self, gateway: Gateway) -> None:
        self._records = _Records(gateway)
        self._open: set[str] = set()
        self.attempted = 0
        self.refused = 0

    def read(self) -> set[str]:
        for record in self._records.new():
            match record["kind"]:
                case "attempted":
                    self._open.add(record["call"])
                    self.attempted += 1
                case "outcome":
                    assert record["call"] in self._open, f"a stray outcome of {record['call']}"
                    self._open.remove(record["call"])
                case "refused":
                    self.refused += 1
        return self._open


def target_of(received: Received) -> str:
    return f"{received.path}?{received.query}" if received.query else received.path


def audited_body(attempted: Record) -> bytes:
    """The redacted request body of an `attempted` record, its content coding undone."""
    request = attempted["attributes"]["request"]
    fields = {name.lower(): value for name, value in request["headers"]}
    raw = base64.b64decode(request.get("body_base64", ""))
    return decode_body(raw, fields.get("content-encoding"), limit=_LIMIT) if raw else b""


def assert_on_record(received: Sequence[Received], attempted: Iterable[Record]) -> None:
    """I2: each request that the upstream got is one `attempted` record's, which names its method, host and
    target, and holds its body if nothing in it was masked."""
    known: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in attempted:
        known[record["http_request"]["method"], record["http_request"]["host"]].append(record)
    for one in received:
        candidates = known[one.method, one.host or ""]
        found = next((each for each in candidates if _is_of(each, one)), None)
        assert found is not None, f"the upstream got what is not on record: {one}"
        candidates.remove(found)


def _is_of(record: Record, received: Received) -> bool:
    if not _fits(record["http_request"]["path"], target_of(received)):
        return False
    request = record["attributes"]["request"]
    if record.get("findings") or "not_stored" in request:
        return True
    return base64.b64decode(request.get("body_base64", "")) == received.body


def _fits(redacted: str, target: str) -> bool:
    return is_masked_form(
        redacted.encode("utf-8", "surrogateescape"), target.encode("utf-8", "surrogateescape")
    )


def is_masked_form(masked: bytes, original: bytes) -> bool:
    """Whether `masked` is `original` with masks in the place of something. In linear time, as a pattern would
    not be."""
    first, *rest = MASK.split(masked)
    if not rest:
        return masked == original
    if not (original.startswith(first) and original.endswith(rest[-1])):
        return False
    position = len(first)
    for part in rest[:-1]:
        found = original.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return position + len(rest[-1]) <= len(original)


def assert_only_the_gateways_keys(received: Iterable[Received], keys: Mapping[str, str]) -> None:
    for one in received:
        assert one.values("dd-api-key") == [keys["api_key"]], one
        assert one.values("dd-application-key") in ([], [keys["application_key"]]), one
        for name in _NO_CREDENTIAL_OF_THE_CLIENT:
            assert not one.values(name), one


def recorded_flow(gateway: Gateway, outcome: Record) -> http.HTTPFlow:
    """The flow that a record points to, after its bytes were compared with the record's digest."""
    where = outcome["recording"]
    path = gateway.state / "recordings" / where["segment"]
    with (path if path.exists() else path.with_name(f"{path.name}.open")).open("rb") as segment:
        segment.seek(where["offset"])
        data = segment.read(where["length"])
    assert hashlib.sha256(data).hexdigest() == where["sha256"], where
    (flow,) = FlowReader(io.BytesIO(data)).stream()
    assert isinstance(flow, http.HTTPFlow)
    return flow


class Search:
    """Looks for secrets in all that a gateway wrote; complete segments, which never change, only once."""

    def __init__(self, gateway: Gateway, secrets: Iterable[str]) -> None:
        self._gateway = gateway
        self._secrets = list(secrets)
        self._done: set[Path] = set()

    def assert_nothing_found(self) -> None:
        for path, data in self._gateway.files():
            if path not in self._done:
                assert_absent(data, self._secrets, path)
            if path.suffix == ".mitm":
                self._done.add(path)

    def recordings(self) -> int:
        """How many flows the segments hold that were not searched yet; mitmproxy must read every one."""
        count = 0
        for path in (self._gateway.state / "recordings").glob("*.mitm*"):
            if path in self._done or path.suffix == ".torn":
                continue
            with path.open("rb") as segment:
                count += sum(1 for _ in FlowReader(segment).stream())
        return count


def assert_log_is_calm(gateway: Gateway) -> None:
    said = gateway.log.read_text()
    assert "Traceback" not in said, said[-4000:]
    assert "crashed" not in said, said[-4000:]


def descriptors_of(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
