"""Recorded calls as policy sees them, so that rules can be tried on what happened.

What a recording says of who called and what was decided then is for trying rules and for people; no call is
ever let through by it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mitmproxy import http

from addons.core import hosts
from addons.core.agent_keys import DROPPED_HEADERS, without_key_in_path, without_keys_in_query
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.catalogue import Catalogue, makes_something_new
from addons.core.hosts import DatadogHost
from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.model import Actor, Effect, Json, Principal, Reason
from addons.core.policy.request import Evidence, PolicyRequest, Reads, Seen, Unreadable
from addons.core.redact.masking.mask import contains_mask
from addons.core.request_target import METHOD_OVERRIDE_KEYS, BadTarget, Target, normalise, query_pairs
from addons.store.recordings.flows import NOT_A_FLOW, NOT_STORED, Damage, RecordedFlow, Recordings, StoredFlow
from addons.store.recordings.target import recorded_target

_LAST_TIME = 253_402_300_800.0  # the year 10000
_DECODED_LIMIT = 64 * 1024 * 1024

# These answers of ddgate's own stand for a call that went out, or may have.
_RAN_ALL_THE_SAME = frozenset({Reason.ANSWER_WITHHELD, Reason.UPSTREAM_FAILED, Reason.CLIENT_GONE})

NOBODY = Principal(issuer="", subject="", groups=frozenset(), expires=float("inf"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided when the call was made. `refused` says that ddgate answered it itself, `reason` why;
    the effect is policy's, and may be to allow what another stage refused.
    """

    effect: Effect
    rule: str | None
    reason: str
    revision: str
    refused: bool


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One recorded request.

    `id` is ddgate's call id, or the flow's where another program recorded it. `problem` says why policy can't
    judge the call, in few words that repeat from call to call; it is empty where it can. `principal` is None
    where the recording names nobody. `decided` is None where policy never saw the call. `unsure_claims`: the
    identity had claims that the recording doesn't hold.
    """

    id: str
    flow: str
    path: Path
    offset: int
    at: float
    principal: Principal | None
    request: PolicyRequest
    problem: str
    decided: Verdict | None
    by_ddgate: bool
    status: int | None
    request_findings: int
    unsure_claims: bool = False
    _body: bytes | None = field(default=None, repr=False)
    _content_type: str | None = None
    _target: str | None = field(default=None, repr=False)
    _has_resource: bool = True

    @property
    def ran(self) -> bool:
        """Whether Datadog got it, as far as the recording can tell."""
        if not self.by_ddgate:
            return self.status is not None
        decided = self.decided
        if decided is None or decided.effect is not Effect.ALLOW:
            return False
        return not decided.refused or decided.reason in _RAN_ALL_THE_SAME

    @property
    def has_masks(self) -> bool:
        """Whether the body, as the recording holds it, has masks where there were secrets."""
        return self._body is not None and contains_mask(self._body)

    @property
    def lacks_body(self) -> bool:
        """Whether it had a body that the recording doesn't hold."""
        return self._body is None and self.request.size > 0 and not self.problem

    def evidence(self, reads: Reads, fields: Collection[str] | None = None) -> Evidence | None:
        """Give the document as it was then; None where the recording doesn't hold it. Of the resource it may
        hold the `fields` that are asked for, and not all (None).
        """
        if reads is Reads.TARGET:
            return recorded_target(self._target, fields) if self._has_resource else Seen({})
        return None if self._body is None else _document(self._body, self._content_type)


@dataclass(slots=True)
class RecordedCalls:
    """The Datadog calls in recordings, one at a time.

    `damage` and `skipped` (what is no Datadog call, by kind) are complete once all were handed out.
    `nameless` is whose calls those are that name nobody, such as stock mitmproxy's.
    """

    recordings: Recordings
    catalogue: Catalogue
    nameless: Principal | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    _unreadable: list[Damage] = field(default_factory=list)

    @property
    def damage(self) -> list[Damage]:
        return sorted(
            [*self.recordings.damage, *self._unreadable], key=lambda each: (str(each.path), each.offset or 0)
        )

    def read(self, holding: str = "") -> Iterator[RecordedCall]:
        """Read the calls whose recording holds that text, an id for instance."""
        self.skipped.clear()
        self._unreadable.clear()
        for stored in self.recordings.flows(holding.encode()):
            try:
                made = self._call(stored, stored.read())
            except NOT_A_FLOW:
                self._unreadable.append(Damage(stored.path, stored.offset, "this is no flow; it is left out"))
                continue
            if isinstance(made, str):
                self.skipped[made] += 1
            else:
                yield made

    def _call(self, stored: StoredFlow, recorded: RecordedFlow) -> RecordedCall | str:
        sent, facts = recorded.request, recorded.metadata
        if sent is None:
            return "not HTTP"
        if sent.method.upper() == "CONNECT":
            return "a tunnel being opened"
        by_ddgate = isinstance(facts.get("ddgate.call"), str)
        host = _host(sent, by_ddgate=by_ddgate)
        if host is None:
            return "not to Datadog"
        identity = _Identity.of(facts)
        principal = identity.principal or self.nameless
        body, size, problem = _body(sent, by_ddgate=by_ddgate)
        if body is None and by_ddgate:
            size = _count(facts, "ddgate.request_size") or size  # decoded; the other is as it travelled
        request, bad_target = self._request(sent, host, principal or NOBODY, size)
        decided = _verdict(facts)
        operation = request.operation
        return RecordedCall(
            id=_text(facts, "ddgate.call") or recorded.id,
            flow=recorded.id,
            path=stored.path,
            offset=stored.offset,
            at=request.at,
            principal=principal,
            request=request,
            problem=_problem(principal, decided, facts) or bad_target or problem,
            decided=decided,
            by_ddgate=by_ddgate,
            status=recorded.status,
            request_findings=_count(facts, "ddgate.request_findings", "ddgate.findings"),
            unsure_claims=identity.unsure,
            _body=body,
            _content_type=sent.headers.get("content-type"),
            _target=_text(facts, "ddgate.target"),
            _has_resource=operation is None or not makes_something_new(operation),
        )

    def _request(
        self, request: http.Request, host: DatadogHost, principal: Principal, size: int
    ) -> tuple[PolicyRequest, str]:
        """Make the request that policy would see; and what is wrong where it would see none."""
        problem = ""
        try:
            target = _target(request.path)
            pairs = query_pairs(target.query)
        except BadTarget:
            target, pairs = Target(request.path.partition("?")[0][:512], "", ()), ()
            problem = "its path or query can be read in more than one way, and is refused before policy"
        return PolicyRequest(
            principal=principal,
            operation=None if problem else self.catalogue.resolve(request.method, target.segments, host),
            host=host.name,
            method=request.method,
            path=target.path,
            query=pairs,
            headers=tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in request.headers.fields
                if name.lower().replace(b"_", b"-") not in DROPPED_HEADERS
            ),
            size=size,
            at=_time(request.timestamp_start),
        ), problem


def _time(seconds: float) -> float:
    if not 0 <= seconds < _LAST_TIME:  # nor is NaN
        raise ValueError("no time")
    return float(seconds)


def _problem(principal: Principal | None, decided: Verdict | None, facts: dict[str, object]) -> str:
    if decided is None and facts.get("ddgate.refused") is True:
        return f"it was refused before policy saw it: {_text(facts, 'ddgate.reason') or 'no reason given'}"
    if principal is None:
        return "the recording names nobody whose call it was"
    return ""


def _host(request: http.Request, *, by_ddgate: bool) -> DatadogHost | None:
    name = hosts.normalise_host(request.host)
    found = hosts.lookup(name) if name else None
    if found is None and not by_ddgate:  # in a transparent proxy's recording it is an address
        name = hosts.normalise_host(request.pretty_host)
        found = hosts.lookup(name) if name else None
    return found


def _target(path: str) -> Target:
    """As `addons/policy.py` makes it, less the keys that go before anything is recorded. Raises BadTarget."""
    target = normalise(path)
    stripped, query = without_key_in_path(target.path), without_keys_in_query(target.query)
    if (stripped, query) != (target.path, target.query):
        target = normalise(f"{stripped}?{query}" if query else stripped)
    if any(key.lower() in METHOD_OVERRIDE_KEYS for key, _ in query_pairs(target.query)):
        raise BadTarget
    return target


def _body(request: http.Request, *, by_ddgate: bool) -> tuple[bytes | None, int, str]:
    """Give the decoded body where it is held, its size in bytes, and why the gateway would not take it."""
    raw = request.raw_content
    if raw is None:
        return None, 0, ""
    if not isinstance(raw, bytes):
        raise TypeError("no bytes")
    if by_ddgate and (cut := NOT_STORED.fullmatch(raw)) is not None:
        return None, int(cut[1]), ""
    try:
        body = decode_body(raw, request.headers.get("content-encoding"), limit=_DECODED_LIMIT)
    except BodyTooLarge:
        return None, len(raw), "its body is too large, and is refused before policy"
    except UndecodableBody:
        return None, len(raw), "its body is not what its Content-Encoding says, and is refused before policy"
    return body, len(body), ""


def _document(body: bytes, content_type: str | None) -> Evidence:
    try:
        return Seen(parse_document(body, content_type))
    except UnreadableDocument as unreadable:
        return Unreadable(unreadable.why)


def _verdict(facts: dict[str, object]) -> Verdict | None:
    effect = _text(facts, "ddgate.effect")
    if effect not in set(Effect):
        return None
    return Verdict(
        effect=Effect(effect),
        rule=_text(facts, "ddgate.rule"),
        reason=_text(facts, "ddgate.reason") or "",
        revision=_text(facts, "ddgate.policy_revision") or "",
        refused=facts.get("ddgate.refused") is True,
    )


@dataclass(frozen=True, slots=True)
class _Identity:
    principal: Principal | None
    unsure: bool = False

    @staticmethod
    def of(facts: dict[str, object]) -> _Identity:
        subject, issuer = _text(facts, "ddgate.principal"), _text(facts, "ddgate.issuer")
        if subject is None or issuer is None:
            return _Identity(None)
        more = _object(_text(facts, "ddgate.identity"))
        groups, claims, actors = more.get("groups"), more.get("claims"), more.get("actors")
        if not isinstance(groups, list):
            groups = [*(_text(facts, "ddgate.groups") or "").split()]
        principal = Principal(
            issuer=issuer,
            subject=subject,
            groups=frozenset(group for group in groups if isinstance(group, str)),
            expires=float("inf"),
            on_behalf_of=_text(facts, "ddgate.on_behalf_of"),
            actors=tuple(_actors(actors)),
            session=_text(facts, "ddgate.session"),
            claims=claims if isinstance(claims, dict) else {},
        )
        return _Identity(principal, unsure="more_claims" in more or not isinstance(claims, dict))


def _actors(listed: Json) -> Iterator[Actor]:
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            issuer, subject = each.get("issuer"), each.get("subject")
            if isinstance(issuer, str) and isinstance(subject, str):
                yield Actor(issuer, subject)


def _object(text: str | None) -> dict[str, Json]:
    try:
        loaded: Json = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _text(facts: dict[str, object], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) and value else None


def _count(facts: dict[str, object], *names: str) -> int:
    for name in names:
        value = facts.get(name)
        if isinstance(value, int):
            return int(value)
    return 0
