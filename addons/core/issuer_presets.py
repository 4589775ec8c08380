"""What is known of the tokens of well-known issuers: where they come from, how they are signed, how long they
live, and what their claims mean. Each as its own documentation has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from addons.core.model import Json


class Preset(StrEnum):
    """The issuers whose tokens are known here."""

    GITHUB_ACTIONS = "github-actions"
    GITLAB = "gitlab"
    KUBERNETES = "kubernetes"
    GOOGLE = "google"
    AZURE = "azure"
    AWS = "aws"
    SPIFFE = "spiffe"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a preset puts in place of keys that the configuration leaves out.

    `shared` is the issuer's URL where it signs for anybody who asks, and `bound_by` are the claims of which
    one has to be required then: without, everybody in the world would be admitted.
    """

    settings: Mapping[str, Json]
    claims: Mapping[str, Json]
    require: Mapping[str, Json] = field(default_factory=dict)
    shared: str | None = None
    bound_by: tuple[str, ...] = ()


_GITHUB = "https://token.actions.githubusercontent.com"
_GITLAB = "https://gitlab.com"
_GOOGLE = "https://accounts.google.com"
_AWS = "/https:~1~1sts.amazonaws.com~1"

PRESETS: Mapping[Preset, Defaults] = MappingProxyType(
    {
        # docs.github.com, "OpenID Connect reference": a token lives five minutes
        Preset.GITHUB_ACTIONS: Defaults(
            settings={"issuer": _GITHUB, "algorithms": ["RS256"], "max_lifetime": "15m"},
            claims={"groups": None, "session": "run_id", "on_behalf_of": "actor"},
            shared=_GITHUB,
            bound_by=("repository_owner", "repository_owner_id", "repository", "repository_id", "sub"),
        ),
        # docs.gitlab.com, "ID token authentication": a token lives as long as its job may run
        Preset.GITLAB: Defaults(
            settings={"issuer": _GITLAB, "algorithms": ["RS256"], "max_lifetime": "1h"},
            claims={"groups": None, "session": "job_id", "on_behalf_of": "user_login"},
            shared=_GITLAB,
            bound_by=("namespace_path", "namespace_id", "project_path", "project_id", "sub"),
        ),
        # kubernetes.io, "Managing Service Accounts", of projected tokens
        Preset.KUBERNETES: Defaults(
            settings={"algorithms": ["RS256", "ES256"], "max_lifetime": "1h"},
            claims={
                "groups": None,
                "session": "/kubernetes.io/pod/uid",
                "attributes": {
                    "namespace": "/kubernetes.io/namespace",
                    "service_account": "/kubernetes.io/serviceaccount/name",
                    "pod": "/kubernetes.io/pod/name",
                    "node": "/kubernetes.io/node/name",
                },
            },
        ),
        # cloud.google.com, "Get an ID token" and "Verify the identity of a VM": one hour, no `jti`
        Preset.GOOGLE: Defaults(
            settings={"issuer": _GOOGLE, "algorithms": ["RS256"], "max_lifetime": "1h"},
            claims={
                "principal": "email",
                "groups": None,
                "session": None,
                "attributes": {
                    "project_id": "/google/compute_engine/project_id",
                    "instance": "/google/compute_engine/instance_name",
                    "zone": "/google/compute_engine/zone",
                },
            },
            require={"email_verified": [True]},
            shared=_GOOGLE,
            bound_by=("email", "sub", "/google/compute_engine/project_id"),
        ),
        # learn.microsoft.com, "Access token claims reference": a managed identity's token lives a day, and
        # begins five minutes before it was asked for
        Preset.AZURE: Defaults(
            settings={"algorithms": ["RS256"], "max_lifetime": "25h"},
            claims={"principal": "oid", "groups": "roles", "session": None},
        ),
        # docs.aws.amazon.com, "Understanding token claims" of outbound identity federation
        Preset.AWS: Defaults(
            settings={"algorithms": ["ES384", "RS256"], "max_lifetime": "1h"},
            claims={
                "groups": None,
                "session": None,
                "attributes": {
                    "aws_account": f"{_AWS}/aws_account",
                    "org_id": f"{_AWS}/org_id",
                    "source_region": f"{_AWS}/source_region",
                },
            },
        ),
        # github.com/spiffe/spiffe, "The SPIFFE JWT-SVID"
        Preset.SPIFFE: Defaults(
            settings={"algorithms": ["ES256", "ES384", "RS256"], "max_lifetime": "1h"},
            claims={"groups": None, "session": None},
        ),
    }
)
