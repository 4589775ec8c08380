"""What ddgate knows of one flow while it lives, typed; and what people may read of it in a recording.

The live state hangs on the flow object itself (weakly), never in `flow.metadata`: metadata is saved and
replayed, so nothing decides by it. `describe` is the one place that makes metadata, for recordings.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from weakref import WeakKeyDictionary, WeakSet, ref

from mitmproxy import connection, http

from addons.core.hosts import DatadogHost
from addons.core.model import Json, Operation, Principal, Refusal
from addons.core.policy.request import Decision, Recording
from addons.core.request_target import Target

MAX_METHOD = 16  # of what is kept of one: as long as the longest, for anyone can send any text


class Stage(StrEnum):
    """The stages whose word is needed. A stage that never ran has not permitted anything."""

    IDENTITY = "identity"
    DESTINATION = "destination"
    BODY = "body"
    POLICY = "policy"
    APPROVAL = "approval"
    REDACTION = "redaction"
    CREDENTIAL = "credential"
    RECORDER = "recorder"
    AUDIT = "audit"


TUNNEL_STAGES = frozenset({Stage.IDENTITY, Stage.DESTINATION, Stage.AUDIT})
REQUEST_STAGES = frozenset(
    {
        Stage.IDENTITY,
        Stage.DESTINATION,
        Stage.BODY,
        Stage.POLICY,
        Stage.APPROVAL,
        Stage.REDACTION,
        Stage.CREDENTIAL,
        Stage.AUDIT,
    }
)
ANSWER_STAGES = frozenset({Stage.CREDENTIAL, Stage.REDACTION, Stage.RECORDER, Stage.AUDIT})
STREAM_STAGES = frozenset({Stage.BODY, Stage.CREDENTIAL, Stage.REDACTION})
"""Those that prepare for an answer that is passed on while it comes, and see its head."""
PART_STAGES = STREAM_STAGES | {Stage.IDENTITY}


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A request or answer as it may be stored and shown: every secret is masked.

    `target` is the masked path and query of a request. `length` is the body's as it travelled. `content` is
    None where the body may not be stored, or its rule says `record: hash`. `digest` is `sha256:` of `content`
    or, where there is none, `hmac-sha256:` of the body under the installation's own key: a plain hash would
    let a short secret be guessed back. `host`: what to tell of a request's that may be no host, None where it
    is one.
    """

    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes | None
    length: int
    digest: str
    target: str = ""
    findings: Mapping[str, int] = field(default_factory=dict)
    host: str | None = None


@dataclass(frozen=True, slots=True)
class MaskedRequest:
    """A request as a person may see it before it runs: `target` is its path and query, `body` decoded, None
    where it could not be masked.
    """

    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None
    intent: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """The approval that a call is about to use up, bound to the digest of exactly this call."""

    approval: str
    digest: str


@dataclass(slots=True)
class Tunnel:
    """A client connection after its CONNECT: who opened it, and to where."""

    host: DatadogHost | None = None
    principal: Principal | None = None


@dataclass(slots=True)
class Streamed:
    """An answer that is passed on while it comes, part by part.

    `head` is what the agent gets of it first. Of the part that stages look at, `raw` is as it came, `events`
    what may pass of it after the stages so far, and of what they held back before; `out` is set by the last
    addon alone. `waiting` was released, and is sent once nothing stands in its way.
    `kept` are the events that passed, for the record, as long as there is room; `size` counts all.
    """

    head: http.Response
    clearances: set[Stage] = field(default_factory=set)
    is_released: bool = False
    raw: bytes = b""
    is_last: bool = False
    events: bytes = b""
    out: bytes | None = None
    waiting: bytes = b""
    go_on: Callable[[], None] | None = None  # lets more be read
    is_whole: bool = False
    kept: bytearray | None = field(default_factory=bytearray)
    size: int = 0
    digest: str = ""
    echoed: int = 0  # keys that were found, and removed
    findings: Counter[str] = field(default_factory=Counter)

    def begin_part(self, raw: bytes, *, is_last: bool) -> None:
        self.raw, self.is_last = raw, is_last
        self.events, self.out = b"", None
        self.clearances.clear()

    def end_part(self, *, go_on: bool) -> None:
        self.raw = self.events = b""
        if go_on and self.go_on is not None:
            self.go_on()
            self.go_on = None


@dataclass(slots=True, weakref_slot=True)
class Call:
    """One CONNECT or one request on its way.

    `proofs` is what each token says that the call relies on, its tunnel's included. `body` is decoded, and
    masked once it is to be forwarded; `body_size` is that of what came, in bytes.
    `permits` and `clearances` collect the stages that let the request, and then the answer, pass;
    `head_passed` and `answer_head_passed` say that no stage failed over the head alone; `released`
    is set by the last addon alone, `head_sent` once the request's head was serialised for the upstream.
    """

    id: str
    started: float
    method: str
    in_tunnel: bool = False
    principal: Principal | None = None
    proofs: tuple[Principal, ...] = ()
    host: DatadogHost | None = None
    target: Target | None = None
    operation: Operation | None = None
    body: bytes = b""
    body_size: int = 0
    discarded: int = 0  # bytes of a body that was not kept, because its head was refused
    decision: Decision | None = None
    resource: Json = None  # what was seen of the resource that the call is about, redacted
    credential: str | None = None
    unverified_intent: str | None = None
    approval: str | None = None  # the id of the one that was asked for
    grant: Grant | None = None
    refusal: Refusal | None = None
    head_passed: bool = False
    permits: set[Stage] = field(default_factory=set)
    released: bool = False
    head_sent: bool = False
    answer: http.Response | None = None
    answer_body: bytes = b""
    answer_head_passed: bool = False
    clearances: set[Stage] = field(default_factory=set)
    echoed_keys: Mapping[str, int] = field(default_factory=dict)  # found in the answer, and removed
    delivered: bool = False
    forwarded_findings: Mapping[str, int] = field(default_factory=dict)
    streamed: Streamed | None = None
    stored_request: StoredMessage | None = None
    stored_answer: StoredMessage | None = None
    recorded_flow: bytes | None = None
    attempted: bool = False
    closed: bool = False

    @property
    def is_open(self) -> bool:
        """Still on its way to a decision: no stage has refused it."""
        return self.refusal is None and not self.released

    @property
    def stream(self) -> Streamed | None:
        """The answer, if it is passed on while it comes."""
        return self.streamed if self.streamed is not None and self.streamed.is_released else None

    @property
    def stores_bodies(self) -> bool:
        """Whether its body, and its answer's, are stored. A rule's `record: hash` is for calls that it lets
        pass by itself: what is refused, or people were asked about, is stored.
        """
        return (
            self.decision is None
            or self.decision.record is not Recording.HASH
            or self.approval is not None
            or self.refusal is not None
        )

    @property
    def stages_missing(self) -> frozenset[Stage]:
        return REQUEST_STAGES - self.permits


_calls: WeakKeyDictionary[http.HTTPFlow, Call] = WeakKeyDictionary()
# By reference, so that an idle connection doesn't keep the bodies of its last call.
_current: WeakKeyDictionary[connection.Client, ref[Call]] = WeakKeyDictionary()
_dialable: WeakSet[connection.Server] = WeakSet()
_tunnels: WeakKeyDictionary[connection.Client, Tunnel] = WeakKeyDictionary()

# Crockford's base 32, as in ULID: sorts by time, survives being read aloud.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)


def new_call_id() -> str:
    """A ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, 26 characters."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def call_of(flow: http.HTTPFlow) -> Call:
    call = _calls.get(flow)
    if call is None:
        call = _calls[flow] = Call(new_call_id(), time.time(), flow.request.method)
        _current[flow.client_conn] = ref(call)
        call.in_tunnel = flow.client_conn in _tunnels and flow.request.method != "CONNECT"
    return call


def known_call(flow: http.HTTPFlow) -> Call | None:
    """The flow's call if the chain has seen it at all."""
    return _calls.get(flow)


def current_call(client: connection.Client) -> Call | None:
    """The call that a client connection is busy with; over HTTP/1.1 there is one at a time."""
    reference = _current.get(client)
    return reference() if reference is not None else None


def end_current_call(client: connection.Client) -> None:
    """Its answer is complete: what goes wrong on the connection from now on is another call's."""
    _current.pop(client, None)


def open_tunnel(client: connection.Client) -> Tunnel:
    return _tunnels.setdefault(client, Tunnel())


def tunnel_of(client: connection.Client) -> Tunnel | None:
    return _tunnels.get(client)


def permit_dial(server: connection.Server) -> None:
    _dialable.add(server)


def may_dial(server: connection.Server) -> bool:
    return server in _dialable


def close_tunnel(client: connection.Client) -> None:
    _tunnels.pop(client, None)


@dataclass(frozen=True, slots=True)
class Description:
    """What a recorded flow says of itself to people and filters (`~meta`, `~comment`, `~marker`)."""

    metadata: Mapping[str, str | int | bool]
    comment: str
    marker: str


_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})  # RFC 7519 section 4.1
_MAX_CLAIMS = 8192  # characters of JSON


def _identity(principal: Principal) -> str:
    """What policy may ask of a principal beside its names, as JSON: `policy backtest` judges by it.

    `claims` are those that a matcher can read; `more_claims` says that others were left out.
    """
    claims: dict[str, Json] = {}
    room, left_out = _MAX_CLAIMS, False
    for name, value in principal.claims.items():
        if name in _REGISTERED:
            continue
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, (list, dict)) for item in items):
            left_out = True
            continue
        room -= len(json.dumps({name: value}))
        if room < 0:
            left_out = True
            break
        claims[name] = value
    identity: dict[str, Json] = {"groups": list[Json](sorted(principal.groups)), "claims": claims}
    if principal.actors:
        identity["actors"] = [{"issuer": each.issuer, "subject": each.subject} for each in principal.actors]
    if left_out:
        identity["more_claims"] = True
    return json.dumps(identity, separators=(",", ":"))


def _principal_facts(principal: Principal) -> dict[str, str | int | bool]:
    facts: dict[str, str | int | bool] = {
        "ddgate.principal": principal.subject,
        "ddgate.issuer": principal.issuer,
        "ddgate.groups": " ".join(sorted(principal.groups)),
        "ddgate.identity": _identity(principal),
    }
    if principal.on_behalf_of:
        facts["ddgate.on_behalf_of"] = principal.on_behalf_of
    if principal.session:
        facts["ddgate.session"] = principal.session
    return facts


def _call_facts(call: Call) -> dict[str, str | int | bool]:
    facts: dict[str, str | int | bool] = {}
    if call.operation is not None:
        facts["ddgate.operation"] = call.operation.name
        facts["ddgate.risk"] = call.operation.risk.value
    if call.resource is not None:
        facts["ddgate.target"] = json.dumps(call.resource, separators=(",", ":"))
    if call.approval is not None:
        facts["ddgate.approval"] = call.approval
    stored = call.stored_request
    if stored is not None and stored.content is None and Stage.BODY in call.permits:
        facts["ddgate.request_size"] = call.body_size  # decoded, as rules saw it; `length` may not be
    return facts


def _findings(stored: StoredMessage | None) -> int:
    return sum(stored.findings.values()) if stored is not None else 0


def _by_detector(call: Call) -> str:
    """`email=2 pair-password=1`, by name: to be read, and found with a `~meta` filter."""
    total = Counter[str]()
    for stored in (call.stored_request, call.stored_answer):
        total.update(stored.findings if stored is not None else {})
    return " ".join(f"{name}={count}" for name, count in sorted(total.items()) if count)


def describe(call: Call, unverified_method: str) -> Description:
    facts: dict[str, str | int | bool] = {"ddgate.call": call.id}
    who = "nobody"
    if (principal := call.principal) is not None:
        facts |= _principal_facts(principal)
        who = principal.subject
        if principal.on_behalf_of:
            who = f"{who} for {principal.on_behalf_of}"
    facts |= _call_facts(call)
    verdict, marker = "no verdict", ""
    if (decision := call.decision) is not None:
        facts["ddgate.effect"] = decision.effect.value
        facts["ddgate.rule"] = decision.rule or ""
        facts["ddgate.policy_revision"] = decision.revision
        facts["ddgate.reason"] = decision.reason.value
        if decision.shadow:
            facts["ddgate.shadow"] = " ".join(hit.rule for hit in decision.shadow)
        verdict = f"{decision.effect.value} {decision.rule or ''}".rstrip()
        if (withheld := decision.withheld) is not None:
            facts["ddgate.observed"] = f"{withheld.effect.value} {withheld.rule or withheld.reason.value}"
            verdict = f"observed, would be: {withheld.effect.value} {withheld.rule or withheld.reason.value}"
    if call.refusal is not None:
        facts["ddgate.reason"] = call.refusal.reason.value
        facts["ddgate.refused"] = True
        verdict, marker = (
            f"refused {call.refusal.reason.value} {call.refusal.rule or ''}".rstrip(),
            ":no_entry:",
        )
    in_request, in_answer = _findings(call.stored_request), _findings(call.stored_answer)
    facts["ddgate.findings"] = findings = in_request + in_answer
    facts["ddgate.request_findings"] = in_request
    if findings:
        facts["ddgate.detectors"] = _by_detector(call)
    if findings and not marker:
        marker = ":see_no_evil:"
    what = call.operation.name if call.operation else unverified_method[:MAX_METHOD]
    return Description(facts, f"{who} · {what} · {verdict} · {call.id}", marker)
