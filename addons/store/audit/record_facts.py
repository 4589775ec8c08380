"""The facts of a call, read back out of one of its records."""

from __future__ import annotations

from collections.abc import Mapping

from addons.core.model import Actor, Effect, Json, Operation, Principal, Reason, Risk
from addons.store.audit.record import CallFacts


def facts_of(record: Mapping[str, Json]) -> CallFacts:
    """What a record says, as far as it can be read: a record of another's may hold anything."""
    decision, request = _part(record, "decision"), _part(record, "http_request")
    status = _part(record, "http_response").get("status")
    effect, reason = decision.get("effect"), decision.get("reason")
    return CallFacts(
        principal=_principal(record),
        operation=_operation(_part(record, "api"), _text(request, "method") or ""),
        effect=Effect(effect) if effect in set(Effect) else None,
        reason=Reason(reason) if reason in set(Reason) else None,
        rule=_text(decision, "rule"),
        policy_revision=_text(decision, "policy_revision"),
        method=_text(request, "method"),
        host=_text(request, "host"),
        path=_text(request, "path"),
        approval=_text(record, "approval"),
        status=status if isinstance(status, int) else None,
    )


def _principal(record: Mapping[str, Json]) -> Principal | None:
    actor = _part(record, "actor")
    issuer, subject, groups = _text(actor, "issuer"), _text(actor, "subject"), actor.get("groups")
    if issuer is None or subject is None:
        return None
    chain = actor.get("chain")
    return Principal(
        issuer=issuer,
        subject=subject,
        groups=frozenset(str(group) for group in groups) if isinstance(groups, list) else frozenset(),
        expires=float("inf"),
        on_behalf_of=_text(record, "on_behalf_of"),
        session=_text(record, "session"),
        token_id=_text(actor, "token_id"),
        actors=tuple(
            Actor(str(each.get("issuer")), str(each.get("subject")))
            for each in (chain if isinstance(chain, list) else ())
            if isinstance(each, dict)
        ),
    )


def _operation(api: Mapping[str, Json], method: str) -> Operation | None:
    name, version, risk = _text(api, "operation"), _text(api, "version"), api.get("risk")
    if name is None or version is None or risk not in set(Risk):
        return None
    return Operation(name, version, method, "", (), Risk(risk))


def _part(record: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _text(part: Mapping[str, Json], name: str) -> str | None:
    found = part.get(name)
    return found if isinstance(found, str) else None
