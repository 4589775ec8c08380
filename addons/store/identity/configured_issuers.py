"""The issuers of the configuration, as their keys are fetched and their tokens verified."""

from __future__ import annotations

from pathlib import Path

from addons.core.config import Config
from addons.core.issuer_presets import Preset
from addons.core.verification_keys import JWT_SVIDS, SIGNATURES
from addons.store.identity.key_set_fetch import IssuerSettings


def issuer_settings(config: Config, base: Path) -> list[IssuerSettings]:
    """In the configuration's order; file names are relative to `base`."""
    return [
        IssuerSettings(
            issuer=one.issuer,
            audience=(one.audience,),
            algorithms=tuple(one.algorithms),
            jwks_uri=one.jwks_uri,
            ca=base / one.ca if one.ca else None,
            max_lifetime=one.max_lifetime,
            leeway=one.leeway,
            max_stale=one.max_stale,
            subject_claim=one.claims.principal,
            groups_claim=one.claims.groups,
            session_claim=one.claims.session,
            on_behalf_of_claim=one.claims.on_behalf_of,
            attributes=one.claims.attributes,
            required=one.require,
            actor_issuers=one.actor_issuers,
            names_itself=one.names_itself,
            key_uses=JWT_SVIDS if one.preset is Preset.SPIFFE else SIGNATURES,
        )
        for one in config.issuers
    ]
