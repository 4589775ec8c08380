"""The closed list of checks that a token can fail, and what its owner is told."""

from __future__ import annotations

from enum import StrEnum

from addons.core.model import Reason


class TokenCheck(StrEnum):
    """Which check refused a token. Used in answers, audit records and metrics."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    ENCRYPTED = "encrypted"
    TOKEN_TYPE = "token_type"  # noqa: S105 - the name of a check, not a password
    EMBEDDED_KEY = "embedded_key"
    HEADER = "header"
    UNKNOWN_ISSUER = "unknown_issuer"
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    UNFIT_KEY = "unfit_key"
    SIGNATURE = "signature"
    MISSING_CLAIM = "missing_claim"
    BAD_CLAIM = "bad_claim"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME = "lifetime"
    ACTOR = "actor"
    NOT_ADMITTED = "not_admitted"


class TokenRejected(Exception):  # noqa: N818 - a verdict on the token, named as the answer names it
    """A token failed `check`: `message` says which, `remedy` how its owner mends it.

    Neither holds anything out of the token, nor a value that would pass. `about` is a claim's or header
    member's name out of ddgate's own list or its configuration, never text from the token.
    """

    def __init__(self, check: TokenCheck, about: str = "") -> None:
        message, remedy = _TOLD[check]
        self.check = check
        self.about = about
        self.message = message.format(about=about)
        self.remedy = remedy.format(about=about)
        super().__init__(self.message)

    @property
    def reason(self) -> Reason:
        return Reason.TOKEN_EXPIRED if self.check is TokenCheck.EXPIRED else Reason.BAD_TOKEN


class UnknownKeyError(TokenRejected):
    """The token names a key that `issuer`, a configured one, is not known to have.

    The caller may fetch that issuer's keys once and ask again; left alone it is a rejection like any other.
    """

    def __init__(self, issuer: str) -> None:
        super().__init__(TokenCheck.UNKNOWN_KEY)
        self.issuer = issuer


_ASK = "Ask whoever runs this gateway which tokens it accepts; `ddgate token` there explains this one."
_FETCH = "Fetch a fresh token and send the call again; `ddgate run` does this by itself."

_TOLD: dict[TokenCheck, tuple[str, str]] = {
    TokenCheck.TOO_LARGE: (
        "The identity token is larger than 16 KiB.",
        "Have the issuer leave claims out, group lists above all.",
    ),
    TokenCheck.MALFORMED: (
        "The identity token is not a well-formed signed JWT.",
        "Send the token exactly as the issuer gave it: three base64url parts, no quotes, no line breaks.",
    ),
    TokenCheck.ENCRYPTED: (
        "The identity token is encrypted (JWE); only signed tokens (JWS) are accepted.",
        "Have the issuer sign tokens for this gateway without encrypting them.",
    ),
    TokenCheck.TOKEN_TYPE: (
        "The identity token is of a kind that proves no identity (for example a logout token).",
        "Send an ID token or an access token.",
    ),
    TokenCheck.EMBEDDED_KEY: (
        "The identity token brings its own key or a link to one (header `{about}`).",
        "Have the issuer name its key by `kid` alone.",
    ),
    TokenCheck.HEADER: (
        "The identity token's header has an unsupported or badly typed member: `{about}`.",
        "Have the issuer leave it out or mend it.",
    ),
    TokenCheck.UNKNOWN_ISSUER: ("The identity token is from an issuer that is not configured here.", _ASK),
    TokenCheck.ALGORITHM: ("The identity token is signed with an algorithm not accepted here.", _ASK),
    TokenCheck.UNKNOWN_KEY: (
        "The identity token is signed with a key that its issuer does not publish (`kid`).",
        "Fetch a fresh token: the issuer may have changed its keys since this one was made.",
    ),
    TokenCheck.UNFIT_KEY: (
        "The issuer's key that this identity token names is not one for its signing algorithm.",
        "Tell whoever runs the issuer: key type, size and `use` must fit the algorithm, one key per `kid`.",
    ),
    TokenCheck.SIGNATURE: (
        "The identity token's signature does not verify.",
        "Send the token whole and unchanged, and check that the issuer's address is right for this gateway.",
    ),
    TokenCheck.MISSING_CLAIM: (
        "The identity token lacks the claim `{about}`.",
        "Have the issuer put `{about}` into tokens for this gateway.",
    ),
    TokenCheck.BAD_CLAIM: (
        "The identity token's claim `{about}` has a value of the wrong kind.",
        "Have the issuer write `{about}` as the JWT and OpenID Connect standards say.",
    ),
    TokenCheck.AUDIENCE: (
        "The identity token was made for another audience.",
        "Request the token with the audience that this gateway expects; whoever runs it can say which.",
    ),
    TokenCheck.EXPIRED: ("The identity token has expired.", _FETCH),
    TokenCheck.NOT_YET_VALID: (
        "The identity token is not valid yet (`{about}` lies in the future).",
        "Check the clocks of the issuer and of this gateway.",
    ),
    TokenCheck.LIFETIME: (
        "The identity token lives longer than this gateway accepts.",
        "Request a token with a shorter lifetime.",
    ),
    TokenCheck.ACTOR: (
        "The identity token's `act` claim names nobody that its issuer may vouch for.",
        "Put `sub` into every `act`, at most five deep; another issuer's actors have to be configured here.",
    ),
    TokenCheck.NOT_ADMITTED: (
        "The identity token's issuer is known here; whom it names by `{about}` is not admitted.",
        "Ask whoever runs this gateway to admit you: `require` of that issuer in its configuration.",
    ),
}
