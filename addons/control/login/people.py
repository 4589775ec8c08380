"""Who asks: a person, by a token of their own or by a browser's login. Never an agent, never a delegate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from addons.control.login import csrf
from addons.control.login.blocked import Blocked
from addons.control.login.sessions import Sessions
from addons.control.public_url import PublicUrl
from addons.core.approvals.approval import Person
from addons.core.approvals.voting import person_of
from addons.core.blocklist import BlockKind
from addons.core.model import Principal
from addons.core.token_checks import TokenCheck, TokenRejected
from addons.store.identity.token_authority import IssuerUnavailable, TokenAuthority
from addons.store.moment import Moment

_log = logging.getLogger(__name__)


class WhoReason(StrEnum):
    """Why nobody is believed to have asked."""

    NOT_LOGGED_IN = "not_logged_in"
    BAD_TOKEN = "bad_token"  # noqa: S105 - the name of a reason, not a password
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - as above
    DELEGATED_TOKEN = "delegated_token"  # noqa: S105 - as above
    LOGIN_NOT_CONFIGURED = "login_not_configured"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    FROZEN = "identity_frozen"
    REVOKED = "token_revoked"


class NotAPerson(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """Nobody is believed to ask; `text` says what to do."""

    def __init__(self, reason: WhoReason, text: str) -> None:
        super().__init__(text)
        self.reason, self.text = reason, text


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a request. `until` is when the proof of it ends, in seconds since the epoch; `csrf_token` is
    what forms and scripts of our pages send along, None with a bearer token.
    """

    person: Person
    until: float
    csrf_token: str | None = None


class People:
    """`tokens` is None where the configuration names no audience for people's tokens. A token that is good
    for one of `foreign_audiences` too, those of agents, is none of a person's.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one process
        self,
        tokens: TokenAuthority | None,
        sessions: Sessions,
        public: PublicUrl,
        foreign_audiences: frozenset[str],
        now: Callable[[], Moment],
        blocked: Blocked,
    ) -> None:
        self._tokens = tokens
        self._blocked = blocked
        self._sessions = sessions
        self._public = public
        self._foreign_audiences = foreign_audiences
        self._now = now

    async def of_request(self, request: Request) -> Caller:
        """The person who made it, by its bearer token, else by its cookie; one that changes something and
        comes by cookie is checked to come from our own pages.

        Raises NotAPerson, CrossSite, SessionsUnavailable, AuditLogUnusable.
        """
        values = request.headers.getlist("authorization")
        if values:
            scheme, _, token = values[0].partition(" ")
            if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
                raise NotAPerson(WhoReason.BAD_TOKEN, "send one `Authorization: Bearer TOKEN`")
            return await self.from_bearer(token.strip())
        session_id = request.cookies.get(self._public.session_cookie, "")
        caller = await self.from_session(session_id)
        if caller is None:
            raise NotAPerson(WhoReason.NOT_LOGGED_IN, "log in, or send a token: `Authorization: Bearer …`")
        await csrf.check(request, session_id, self._public.origin)
        return caller

    async def from_bearer(self, unverified_token: str) -> Caller:
        """Raises NotAPerson, AuditLogUnusable."""
        if self._tokens is None:
            raise NotAPerson(
                WhoReason.LOGIN_NOT_CONFIGURED,
                "this installation takes no tokens; whoever runs it can set control.login.audience",
            )
        try:
            principal = await self._tokens.authenticate(unverified_token)
            self._check_audience(principal)
            caller = Caller(person_of(principal), principal.expires)
        except TokenRejected as rejected:
            _log.warning("A token shown to control was refused: %s %s", rejected.check, rejected.about)
            expired = rejected.check is TokenCheck.EXPIRED
            reason = WhoReason.TOKEN_EXPIRED if expired else WhoReason.BAD_TOKEN
            raise NotAPerson(reason, rejected.message) from None
        except IssuerUnavailable as error:
            raise NotAPerson(WhoReason.ISSUER_UNAVAILABLE, error.message) from None
        except ValueError:
            _log.warning("A token shown to control was refused: it is delegated")
            raise NotAPerson(
                WhoReason.DELEGATED_TOKEN,
                "the token lets somebody act for somebody else; a person decides with a token of their own",
            ) from None
        await self._check_blocked(principal)
        return caller

    async def _check_blocked(self, principal: Principal) -> None:
        """Raises NotAPerson, AuditLogUnusable."""
        block = await asyncio.to_thread(self._blocked.find, principal)
        if block is None:
            return
        if block.kind is BlockKind.FREEZE:
            raise NotAPerson(WhoReason.FROZEN, "you are frozen here; ask whoever runs this installation")
        raise NotAPerson(WhoReason.REVOKED, "your token or login is revoked; get a new one")

    def _check_audience(self, principal: Principal) -> None:
        """One that agents' gateways take too may come from an agent. Raises TokenRejected."""
        audience = principal.claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not self._foreign_audiences.isdisjoint(str(one) for one in named):
            raise TokenRejected(TokenCheck.AUDIENCE)

    async def from_session(self, unverified_id: str) -> Caller | None:
        """None where the cookie is no login (any more).

        Raises NotAPerson, SessionsUnavailable, AuditLogUnusable.
        """
        if not unverified_id:
            return None
        session = await asyncio.to_thread(self._sessions.find, unverified_id, self._now())
        if session is None:
            return None
        person = session.person
        who = Principal(person.issuer, person.subject, person.groups, session.expires, issued=session.began)
        try:
            await self._check_blocked(who)
        except NotAPerson as nobody:
            if nobody.reason is WhoReason.REVOKED:
                return None  # a new login is good
            raise
        return Caller(session.person, session.expires, csrf.token_for(unverified_id))
