"""Tokens in the shape that well-known issuers document, without the times, for the presets' tests.

Each with the entry of `issuers:` that accepts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from addons.core.model import Json
from tests.core.token_minting import NOW

TENANT = "8f2c1d6e-0b1a-4c57-9d2e-5a7b3c9e4f10"
OBJECT = "0b7e9a52-3c1d-4e8f-a6b4-1f2e3d4c5b6a"
_AZURE_APP = "2d4f6a8c-1b3d-4e5f-8a7b-9c0d1e2f3a4b"
_GCP_ACCOUNT = "triage@octo-prod.iam.gserviceaccount.com"
_AWS_ISSUER = "https://11112222-3333-4444-5555-666677778888.tokens.sts.global.api.aws"
_ROLE = "arn:aws:iam::123456789012:role/TriageAgent"


@dataclass(frozen=True)
class Sample:
    """`alg` and `jwk` are how the issuer signs and publishes. `expected` are fields of the principal, and
    `seen` claims that policy can ask for. `foreign` turns the token into somebody else's of the same issuer.
    """

    entry: str
    alg: str
    lifetime: int
    claims: Mapping[str, Json]
    subject: str
    session: str | None = None
    on_behalf_of: str | None = None
    groups: frozenset[str] = frozenset()
    seen: Mapping[str, Json] = field(default_factory=dict)
    foreign: Mapping[str, Json] = field(default_factory=dict)
    header: Mapping[str, Json] = field(default_factory=lambda: {"typ": "JWT"})
    jwk: Mapping[str, Json] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def payload(self, now: float = NOW) -> dict[str, Json]:
        times: dict[str, Json] = {
            "iat": int(now) - 5,
            "nbf": int(now) - 5,
            "exp": int(now) - 5 + self.lifetime,
        }
        return {name: value for name, value in {**times, **self.claims}.items() if name not in self.without}


GITHUB = Sample(
    entry="{preset: github-actions, audience: ddgate, require: {repository_owner: octo-org}}",
    alg="RS256",
    lifetime=300,
    header={"typ": "JWT", "x5t": "k1"},
    claims={
        "jti": "example-id",
        "sub": "repo:octo-org/octo-repo:environment:prod",
        "environment": "prod",
        "aud": "ddgate",
        "ref": "refs/heads/main",
        "sha": "0000000000000000000000000000000000000001",
        "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org",
        "actor_id": "12",
        "repository_visibility": "private",
        "repository_id": "74",
        "repository_owner_id": "65",
        "run_id": "22259804324",
        "run_number": "10",
        "run_attempt": "2",
        "runner_environment": "github-hosted",
        "actor": "octocat",
        "workflow": "triage",
        "head_ref": "",
        "base_ref": "",
        "event_name": "workflow_dispatch",
        "ref_type": "branch",
        "ref_protected": "true",
        "job_workflow_ref": "octo-org/octo-repo/.github/workflows/triage.yml@refs/heads/main",
        "iss": "https://token.actions.githubusercontent.com",
    },
    subject="repo:octo-org/octo-repo:environment:prod",
    session="22259804324",
    on_behalf_of="octocat",
    seen={"repository": "octo-org/octo-repo", "environment": "prod", "ref_protected": "true"},
    foreign={"repository_owner": "evil-org"},
)

GITLAB = Sample(
    entry="{preset: gitlab, audience: ddgate, require: {namespace_path: [octo, octo/*]}}",
    alg="RS256",
    lifetime=3600,
    claims={
        "namespace_id": "72",
        "namespace_path": "octo/platform",
        "project_id": "20",
        "project_path": "octo/platform/agents",
        "user_id": "1",
        "user_login": "sidney",
        "user_email": "sidney@example.com",
        "user_access_level": "developer",
        "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "feature-branch-1",
        "ref_type": "branch",
        "ref_path": "refs/heads/feature-branch-1",
        "ref_protected": "false",
        "groups_direct": ["octo/platform"],
        "environment": "test",
        "environment_protected": "false",
        "deployment_tier": "testing",
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "project_visibility": "private",
        "iss": "https://gitlab.com",
        "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
        "sub": "project_path:octo/platform/agents:ref_type:branch:ref:feature-branch-1",
        "aud": "ddgate",
    },
    subject="project_path:octo/platform/agents:ref_type:branch:ref:feature-branch-1",
    session="302",
    on_behalf_of="sidney",
    seen={"project_path": "octo/platform/agents", "ref_protected": "false"},
    foreign={"namespace_path": "octopus"},
)

KUBERNETES = Sample(
    entry="{preset: kubernetes, issuer: 'https://kubernetes.default.svc.cluster.local', audience: ddgate,"
    " require: {/kubernetes.io/namespace: agents}}",
    alg="RS256",
    lifetime=3600,
    header={},
    jwk={"alg": "RS256"},
    claims={
        "aud": ["ddgate"],
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
        "kubernetes.io": {
            "namespace": "agents",
            "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
            "pod": {"name": "triage-7d9", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
            "serviceaccount": {"name": "triage", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
        },
        "sub": "system:serviceaccount:agents:triage",
    },
    subject="system:serviceaccount:agents:triage",
    session="5e0bd49b-f040-43b0-99b7-22765a53f7f3",
    seen={"namespace": "agents", "service_account": "triage", "pod": "triage-7d9", "node": "node-1"},
    foreign={
        "sub": "system:serviceaccount:kube-system:default",
        "kubernetes.io": {"namespace": "kube-system"},
        "namespace": "agents",
    },
)

GOOGLE = Sample(
    entry="{preset: google, audience: ddgate, require: {email: '*@octo-prod.iam.gserviceaccount.com'}}",
    alg="RS256",
    lifetime=3600,
    without=("nbf",),
    claims={
        "iss": "https://accounts.google.com",
        "aud": "ddgate",
        "azp": "113774264463038321964",
        "email": _GCP_ACCOUNT,
        "email_verified": True,
        "google": {
            "compute_engine": {
                "instance_creation_timestamp": 1799990000,
                "instance_id": "152986662232938449",
                "instance_name": "agents-1",
                "project_id": "octo-prod",
                "project_number": 739419398126,
                "zone": "europe-west4-a",
            }
        },
        "sub": "113774264463038321964",
    },
    subject=_GCP_ACCOUNT,
    seen={"project_id": "octo-prod", "instance": "agents-1", "zone": "europe-west4-a"},
    foreign={"email": "triage@evil.iam.gserviceaccount.com"},
)

AZURE = Sample(
    entry=f"{{preset: azure, audience: {_AZURE_APP}, tenant: {TENANT}}}",
    alg="RS256",
    lifetime=86700,
    jwk={"x5t": "k1", "x5c": ["MIIC"], "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0"},
    claims={
        "aud": _AZURE_APP,
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "aio": "E2ZgYPgvd=",
        "azp": OBJECT,
        "azpacr": "2",
        "idtyp": "app",
        "oid": OBJECT,
        "rh": "0.AXoA",
        "roles": ["agents"],
        "sub": OBJECT,
        "tid": TENANT,
        "uti": "r0_8mB2yAkWl",
        "ver": "2.0",
    },
    subject=OBJECT,
    groups=frozenset({"agents"}),
    seen={"azp": OBJECT, "idtyp": "app"},
    foreign={"tid": "11111111-2222-3333-4444-555555555555"},
)

AWS = Sample(
    entry=f"{{preset: aws, issuer: '{_AWS_ISSUER}', audience: ddgate, require: {{sub: '{_ROLE}'}}}}",
    alg="ES384",
    lifetime=900,
    without=("nbf",),
    claims={
        "iss": _AWS_ISSUER,
        "aud": "ddgate",
        "sub": _ROLE,
        "jti": "xyz123-def456-ghi789-jkl012",
        "https://sts.amazonaws.com/": {
            "aws_account": "123456789012",
            "source_region": "us-east-1",
            "org_id": "o-abc1234567",
            "principal_tags": {"team": "platform"},
            "lambda_source_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:triage",
        },
    },
    subject=_ROLE,
    seen={"aws_account": "123456789012", "org_id": "o-abc1234567", "source_region": "us-east-1"},
    foreign={"sub": "arn:aws:iam::123456789012:role/Other"},
)

SPIFFE = Sample(
    entry="{preset: spiffe, trust_domain: octo.example, audience: 'spiffe://octo.example/ddgate',"
    " jwks_uri: 'https://spire.octo.example/bundle'}",
    alg="ES256",
    lifetime=300,
    jwk={"use": "jwt-svid"},
    claims={"aud": ["spiffe://octo.example/ddgate"], "sub": "spiffe://octo.example/ns/agents/sa/triage"},
    subject="spiffe://octo.example/ns/agents/sa/triage",
    without=("nbf",),
    foreign={"sub": "spiffe://octo.example"},
)

SAMPLES = {
    "github-actions": GITHUB,
    "gitlab": GITLAB,
    "kubernetes": KUBERNETES,
    "google": GOOGLE,
    "azure": AZURE,
    "aws": AWS,
    "spiffe": SPIFFE,
}
