"""Tokens that the place itself gives to whatever runs there: a CI job, a pod, a virtual machine."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from addons.sidecar.token_sources import EnvironmentSource, FileSource, TokenError, TokenSource

GITHUB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
GITHUB_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - a variable's name
GITLAB_VARIABLE = "DDGATE_ID_TOKEN"
GOOGLE_HOST = "GCE_METADATA_HOST"
KUBERNETES_FILE = Path("/var/run/secrets/ddgate/token")
SPIFFE_FILE = Path("/var/run/secrets/ddgate/jwt_svid.token")
AWS_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
AZURE_FILE = "AZURE_FEDERATED_TOKEN_FILE"
AZURE_CLIENT = "AZURE_CLIENT_ID"
AZURE_TENANT = "AZURE_TENANT_ID"
AZURE_AUTHORITY = "AZURE_AUTHORITY_HOST"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_GOOGLE_DEFAULT = "metadata.google.internal"
_GOOGLE_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
_MAX_BYTES = 65536
_AZURE = (AZURE_FILE, AZURE_CLIENT, AZURE_TENANT, AZURE_AUTHORITY)


class Workload(StrEnum):
    """Where a command can run that gives tokens of its own."""

    GITHUB = "github"
    GITLAB = "gitlab"
    KUBERNETES = "kubernetes"
    GOOGLE = "google"
    AZURE = "azure"
    AWS = "aws"
    SPIFFE = "spiffe"

    @property
    def secret_variables(self) -> frozenset[str]:
        """What holds a token here, or something that gets one."""
        match self:
            case Workload.GITHUB:
                return frozenset((GITHUB_URL, GITHUB_TOKEN))
            case Workload.GITLAB:
                return frozenset((GITLAB_VARIABLE,))
            case _:
                return frozenset()


def workload_source(workload: Workload, audience: str, environment: Mapping[str, str]) -> TokenSource:
    """Make the source for tokens whose `aud` is `audience`; what is missing is told by its `fetch`."""
    match workload:
        case Workload.GITHUB:
            return GitHubSource(environment.get(GITHUB_URL, ""), environment.get(GITHUB_TOKEN, ""), audience)
        case Workload.GITLAB:
            return GitLabSource(environment.get(GITLAB_VARIABLE, ""), audience)
        case Workload.KUBERNETES:
            return ProjectedSource(FileSource(KUBERNETES_FILE), audience)
        case Workload.GOOGLE:
            return GoogleSource(environment.get(GOOGLE_HOST) or _GOOGLE_DEFAULT, audience)
        case Workload.AZURE:
            return AzureSource({name: environment.get(name, "") for name in _AZURE}, audience)
        case Workload.AWS:
            return AwsSource(environment.get(AWS_FILE, ""), audience)
        case Workload.SPIFFE:
            return SvidSource(FileSource(SPIFFE_FILE), audience)


@dataclass(frozen=True, slots=True)
class GitHubSource:
    """The endpoint that a GitHub Actions job with `permissions: id-token: write` has.

    `url` and `token` are what the runner puts into the job's variables.
    """

    url: str
    token: str = field(repr=False)
    audience: str
    timeout: float = 15.0

    async def fetch(self) -> str:
        if not self.url or not self.token:
            name = GITHUB_TOKEN if self.url else GITHUB_URL
            raise TokenError(
                f"{name} isn't set: this is no GitHub Actions job, or one without "
                "`permissions: id-token: write`"
            )
        what = f"GitHub's token endpoint ({GITHUB_URL})"
        parts = _split(self.url)
        if parts is None or (parts.scheme != "https" and parts.hostname != "127.0.0.1"):
            raise TokenError(f"{what} isn't an https:// URL, so the job's own token is not sent there")
        audience = urllib.parse.urlencode({"audience": self.audience})
        url = parts._replace(query=f"{parts.query}&{audience}" if parts.query else audience).geturl()
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})  # noqa: S310 - https, as was asked above
        data = await _ask(urllib.request.build_opener(_NoRedirect), request, what, self.timeout)
        return _member(data, "value", what)


@dataclass(frozen=True, slots=True)
class GitLabSource:
    """The variable that `id_tokens:` of a GitLab CI job fills; it can't be renewed while the job runs."""

    value: str = field(repr=False)
    audience: str

    async def fetch(self) -> str:
        if not self.value.strip():
            raise TokenError(
                f"{GITLAB_VARIABLE} is empty; add to the job in .gitlab-ci.yml "
                f"`id_tokens: {{{GITLAB_VARIABLE}: {{aud: {self.audience}}}}}`"
            )
        return await EnvironmentSource(GITLAB_VARIABLE, self.value).fetch()


@dataclass(frozen=True, slots=True)
class ProjectedSource:
    """A service account token that the kubelet projects into the pod, and renews.

    Never the pod's default token: that one is for the cluster's own API, and opens it.
    """

    file: FileSource
    audience: str

    async def fetch(self) -> str:
        if not self.file.path.exists():
            raise TokenError(
                f"{self.file.path} isn't there; give the pod a projected serviceAccountToken volume with "
                f"audience {self.audience}, mounted at {self.file.path.parent}"
            )
        return await self.file.fetch()

    def has_changed(self) -> bool:
        return self.file.has_changed()


@dataclass(frozen=True, slots=True)
class GoogleSource:
    """The metadata server of a virtual machine, Cloud Run service or GKE pod; `host` may have a port."""

    host: str
    audience: str
    timeout: float = 5.0

    async def fetch(self) -> str:
        query = urllib.parse.urlencode({"audience": self.audience, "format": "full"})
        url = f"http://{self.host}{_GOOGLE_PATH}?{query}"
        what = f"Google's metadata server ({self.host})"
        try:
            request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
        except ValueError:
            raise TokenError(f"{GOOGLE_HOST} isn't the name of a host") from None
        # It is a neighbour: a proxy can't reach it.
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        data = await _ask(opener, request, what, self.timeout)
        try:
            return data.decode("ascii").strip()
        except UnicodeDecodeError:
            raise TokenError(f"{what} answered without a token") from None


@dataclass(frozen=True, slots=True)
class AzureSource:
    """Microsoft Entra's token for a pod with workload identity, in exchange for the pod's own.

    `variables` are those that the workload identity webhook puts into the pod. The pod's own token is for
    Entra alone (RFC 7523 section 2.2), and never sent to the gateway.
    """

    variables: Mapping[str, str]
    audience: str
    timeout: float = 15.0

    async def fetch(self) -> str:
        missing = [name for name in _AZURE if not self.variables[name]]
        if missing:
            raise TokenError(
                f"{missing[0]} isn't set: this is no pod with Azure workload identity "
                '(label `azure.workload.identity/use: "true"`)'
            )
        what = f"Microsoft Entra ({AZURE_AUTHORITY})"
        parts = _split(self.variables[AZURE_AUTHORITY])
        if parts is None or (parts.scheme != "https" and parts.hostname != "127.0.0.1"):
            raise TokenError(f"{what} isn't an https:// URL, so the pod's own token is not sent there")
        tenant = urllib.parse.quote(self.variables[AZURE_TENANT], safe="")
        form = {
            "grant_type": "client_credentials",
            "client_id": self.variables[AZURE_CLIENT],
            "scope": f"{self.audience}/.default",
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": await FileSource(Path(self.variables[AZURE_FILE])).fetch(),
        }
        url = parts._replace(path=f"/{tenant}/oauth2/v2.0/token", query="", fragment="").geturl()
        request = urllib.request.Request(url, urllib.parse.urlencode(form).encode())  # noqa: S310 - https, as was asked above
        data = await _ask(urllib.request.build_opener(_NoRedirect), request, what, self.timeout)
        return _member(data, "access_token", what)


@dataclass(frozen=True, slots=True)
class AwsSource:
    """The service account token that EKS projects into a pod with an IAM role (IRSA), which `path` names.

    As EKS makes it, AWS takes it for the role's login, so it is sent only where it is for the gateway.
    """

    path: str
    audience: str

    async def fetch(self) -> str:
        if not self.path:
            raise TokenError(f"{AWS_FILE} isn't set: this is no pod on EKS whose service account has a role")
        token = await FileSource(Path(self.path)).fetch()
        if self.audience not in _audiences(token):
            raise TokenError(
                f"the token in {AWS_FILE} isn't for {self.audience}: it opens something else, so it isn't "
                f"sent; annotate the service account with `eks.amazonaws.com/audience: {self.audience}`, or "
                "project another token into the pod and take --issuer kubernetes"
            )
        return token


@dataclass(frozen=True, slots=True)
class SvidSource:
    """The JWT-SVID that spiffe-helper keeps in a file: `jwt_svids` of its configuration."""

    file: FileSource
    audience: str

    async def fetch(self) -> str:
        if not self.file.path.exists():
            raise TokenError(
                f"{self.file.path} isn't there; have spiffe-helper write it, in its configuration: "
                f'cert_dir "{self.file.path.parent}", jwt_svid_file_name "{self.file.path.name}", '
                f'jwt_audience "{self.audience}"'
            )
        return await self.file.fetch()

    def has_changed(self) -> bool:
        return self.file.has_changed()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the request's own token somewhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


async def _ask(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, what: str, seconds: float
) -> bytes:
    """Fetch a short body; `what` names who is asked. Raises TokenError."""

    def ask() -> bytes:
        with opener.open(request, timeout=seconds) as answer:
            return bytes(answer.read(_MAX_BYTES + 1))

    try:
        async with asyncio.timeout(2 * seconds):
            data = await asyncio.to_thread(ask)
    except TimeoutError:
        raise TokenError(f"{what} didn't answer in time") from None
    except urllib.error.HTTPError as error:
        error.close()
        raise TokenError(f"{what} answered with status {error.code}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise TokenError(f"{what} didn't answer in time") from None
        # The reason of an unreadable URL would repeat it; the system's own words don't.
        reason = error.reason.strerror if isinstance(error.reason, OSError) else None
        raise TokenError(f"{what} can't be reached: {reason or 'no connection'}") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise TokenError(f"{what} broke off, or isn't an HTTP server") from None
    if len(data) > _MAX_BYTES:
        raise TokenError(f"{what} answered with more than {_MAX_BYTES} bytes: that isn't a token")
    return data


def _member(data: bytes, name: str, what: str) -> str:
    """Take the text of that name out of a JSON object. Raises TokenError."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise TokenError(f"{what} answered without a token")
    return value


def _audiences(unverified_token: str) -> list[str]:
    """What it says that it is for; nothing where it can't be read."""
    try:
        payload = unverified_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return []
    named = claims.get("aud") if isinstance(claims, dict) else None
    return [each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)]


def _split(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return None
    return parts if parts.hostname and parts.username is None else None
