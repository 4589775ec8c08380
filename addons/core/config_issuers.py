"""The `issuers` of `ddgate.yaml`: who is believed about who an agent is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from addons.core.config_sections import Algorithm, FileName, Url, check_url, is_sandbox_issuer
from addons.core.issuer_presets import PRESETS, Defaults, Preset
from addons.core.issuer_trust import Admitted
from addons.core.quantities import Duration
from addons.core.yaml_form import frozen
from addons.core.yaml_source import Section, complaint

_SPIFFE = "spiffe://"
_MICROSOFT = "https://login.microsoftonline.com"
_AWS_TOKENS = ".tokens.sts."
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)  # SPIFFE-ID section 2.1
_TENANT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_MEANT_ALREADY = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "act"})
_BAD_ESCAPE = re.compile(r"~(?![01])")


def _claim(name: str) -> str:
    if not name or name == "/" or _BAD_ESCAPE.search(name if name.startswith("/") else ""):
        raise complaint(
            "neither a claim's name nor a JSON Pointer",
            "groups, or /realm_access/roles; in a pointer, ~1 is a / and ~0 is a ~ of a name",
        )
    return name


def _attributes(attributes: Mapping[str, str]) -> Mapping[str, str]:
    for name in attributes:
        if name in _MEANT_ALREADY or not _ATTRIBUTE.fullmatch(name):
            raise complaint(
                f"{name!r} can't be the name of an attribute",
                "letters, digits and '_', and none of the claims that have a meaning: sub, aud, exp, …",
            )
    return attributes


Claim = Annotated[str, AfterValidator(_claim)]


class Claims(Section):
    """Which claims of a token say what. A name, or a JSON Pointer (RFC 6901) when it begins with `/`."""

    principal: Claim = "sub"
    """Who the agent is. Another claim than `sub` has to be one that its bearer can't choose; `email` counts
    only with `email_verified: true`."""
    groups: Claim | None = "groups"
    """The principal's groups: a list of texts."""
    session: Claim | None = "session_id"
    """The agent run that the call belongs to."""
    on_behalf_of: Claim | None = None
    """For whom the principal works, where tokens say so without an RFC 8693 `act` claim."""
    attributes: Annotated[Mapping[str, Claim], AfterValidator(_attributes)] = {}
    """What policy sees as `claims.NAME` beside the token's own: `{namespace: /kubernetes.io/namespace}`."""


def _one_as_list(value: object) -> object:
    return (value,) if isinstance(value, str | int) else value


def _admitted(value: Admitted) -> Admitted:
    if not isinstance(value, str) or "*" not in value:
        return value
    rest = value[1:] if value.startswith("*") else value.removesuffix("*")
    beside = rest[:1] if value.startswith("*") else rest[-1:]
    if "*" in rest or not beside or beside.isalnum() or beside in "-_":
        raise complaint(
            "'*' stands only at the beginning or the end, and beside a separator",
            "octo-org/*, *@project.iam.gserviceaccount.com; octo* would admit octopus as well",
        )
    return value


Values = Annotated[
    tuple[Annotated[Admitted, AfterValidator(_admitted)], ...],
    BeforeValidator(_one_as_list),
    Field(min_length=1),
]


def _issuer_name(name: str) -> str:
    if name.startswith(_SPIFFE):
        if not _TRUST_DOMAIN.fullmatch(name.removeprefix(_SPIFFE)):
            raise complaint("not a trust domain", "spiffe://example.org, without a path")
        return name
    return check_url(name)


def _tenant(tenant: str) -> str:
    if not _TENANT.fullmatch(tenant):
        raise complaint("not the id of one tenant", "a UUID; `common` and `organizations` are everybody's")
    return tenant.lower()


def _trust_domain(name: str) -> str:
    if not _TRUST_DOMAIN.fullmatch(name):
        raise complaint("not a trust domain", "example.org, without spiffe:// and in lower case")
    return name


class Issuer(Section):
    """One issuer whose tokens prove who an agent is: with OIDC discovery, or with `jwks_uri`."""

    preset: Annotated[Preset, Field(strict=False)] | None = None
    """Keys that are left out are as this issuer's tokens need them: github-actions, gitlab, kubernetes,
    google, azure, aws or spiffe."""
    issuer: Annotated[str, AfterValidator(_issuer_name)]
    """Exactly as in the tokens' `iss`."""
    audience: Annotated[str, Field(min_length=1)]
    """What the tokens' `aud` must hold."""
    tenant: Annotated[str, AfterValidator(_tenant)] | None = None
    """With `preset: azure`: the directory whose identities are believed."""
    trust_domain: Annotated[str, AfterValidator(_trust_domain)] | None = None
    """With `preset: spiffe`: the trust domain whose SVIDs are believed."""
    require: Mapping[Claim, Values] = {}
    """Values of which each claim must have one; a text may begin or end with `*`."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    """Signature algorithms that are taken; never `none`, never HMAC."""
    jwks_uri: Url | None = None
    """Where its keys are; without it they are found by OIDC discovery."""
    ca: FileName | None = None
    """PEM bundle of the CA that signs the issuer's own TLS certificate; without it the public ones."""
    max_lifetime: Annotated[Duration, Field(gt=0)] = 3600.0
    """Tokens that live longer are refused."""
    leeway: Annotated[Duration, Field(ge=0, le=300)] = 30.0
    """How far clocks may differ, for `iat` and `nbf`."""
    max_stale: Annotated[Duration, Field(ge=10)] = 86400.0
    """How long known keys are kept while the issuer can't be reached; 10s or more, since its keys are fetched
    twice in that time."""
    claims: Claims = Claims()
    actor_issuers: tuple[Url, ...] = ()
    """Other issuers whose subjects this one may name in `act`."""

    @property
    def is_sandbox(self) -> bool:
        return is_sandbox_issuer(self.issuer)

    @property
    def names_itself(self) -> bool:
        """Whether its tokens carry `iss`; a trust domain's need not."""
        return not self.issuer.startswith(_SPIFFE)

    @model_validator(mode="before")
    @classmethod
    def _as_preset(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        name = given.get("preset")
        if not isinstance(name, str) or name not in PRESETS:
            return given  # its own check tells
        return _completed(Preset(name), given)

    @model_validator(mode="after")
    def _fits_preset(self) -> Self:
        if self.tenant is not None and self.preset is not Preset.AZURE:
            raise complaint("`tenant` is for preset: azure alone", "remove it, or name that preset")
        if self.trust_domain is not None and self.preset is not Preset.SPIFFE:
            raise complaint("`trust_domain` is for preset: spiffe alone", "remove it, or name that preset")
        if not self.names_itself and self.preset is not Preset.SPIFFE:
            raise complaint("a spiffe:// issuer without preset: spiffe", "add it, with trust_domain")
        if not self.names_itself and self.jwks_uri is None:
            raise complaint(
                "a trust domain has no OIDC discovery",
                "name its bundle's address as jwks_uri, or the OIDC discovery provider's as issuer",
            )
        if self.preset is Preset.AWS and _AWS_TOKENS not in (urlsplit(self.issuer).hostname or ""):
            raise complaint(
                "not an account's issuer",
                "https://ID.tokens.sts.global.api.aws, as `aws iam get-outbound-web-identity-federation-info`"
                " says; for pods on EKS take preset: kubernetes",
            )
        if self.preset is not None:
            self._bound(PRESETS[self.preset])
        return self

    def _bound(self, defaults: Defaults) -> None:
        if self.issuer == defaults.shared and not set(defaults.bound_by) & self.require.keys():
            first, *others = defaults.bound_by
            raise complaint(
                f"{self.issuer} signs for everybody in the world, and nothing says for whom of them this is",
                f"require: {{{first}: [yours]}}, or another of {', '.join(others)}",
            )


def _completed(preset: Preset, given: Mapping[str, object]) -> dict[str, object]:
    """`given` over what the preset says."""
    defaults = PRESETS[preset]
    whole: dict[str, object] = {
        **_frozen(defaults.settings),
        **_derived(preset, given),
        **given,
    }
    claims, require = given.get("claims", {}), given.get("require", {})
    if isinstance(claims, Mapping):
        whole["claims"] = {**_frozen(defaults.claims), **claims}
    if isinstance(require, Mapping):
        bound = {**defaults.require, **_bound_by_parameter(preset, given)}
        whole["require"] = {**_frozen(bound), **require}
    return whole


def _derived(preset: Preset, given: Mapping[str, object]) -> dict[str, object]:
    """The issuer's name where a parameter says it. Raises a complaint where that is missing."""
    if preset is Preset.AZURE and "issuer" not in given:
        if "tenant" not in given:
            raise complaint("preset: azure needs the directory's id", "tenant: UUID")
        return {"issuer": f"{_MICROSOFT}/{given['tenant']}/v2.0"}
    if preset is Preset.SPIFFE:
        if "trust_domain" not in given:
            raise complaint("preset: spiffe needs the trust domain", "trust_domain: example.org")
        return {"issuer": f"{_SPIFFE}{given['trust_domain']}"}
    return {}


def _bound_by_parameter(preset: Preset, given: Mapping[str, object]) -> dict[str, object]:
    tenant, trust_domain = given.get("tenant"), given.get("trust_domain")
    if preset is Preset.AZURE and isinstance(tenant, str):
        return {"tid": (tenant.lower(),)}
    if preset is Preset.SPIFFE and isinstance(trust_domain, str):
        return {"sub": (f"{_SPIFFE}{trust_domain}/*",)}
    if preset is Preset.KUBERNETES:
        return {"sub": ("system:serviceaccount:*",)}
    return {}


def _frozen(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: frozen(value) for name, value in settings.items()}  # type: ignore[arg-type]


def unique_issuers(issuers: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
    if len({issuer.issuer for issuer in issuers}) != len(issuers):
        raise complaint("an issuer stands twice", "remove one; each token must fit one entry alone")
    return issuers
