"""`ddgate.yaml`: every key, its meaning, its default.

Paths stay as written; `addons.store.config_file` resolves them and looks at what they name.

Each key can also be set by an environment variable, see `addons.core.config_environment`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from addons.core import hosts
from addons.core.blocklist import TokenLimits
from addons.core.config_approvals import Approvals, Control
from addons.core.config_audit import Audit
from addons.core.config_environment import with_environment
from addons.core.config_issuers import Issuer, unique_issuers
from addons.core.config_sections import (
    Credential,
    FileName,
    Identity,
    Inspector,
    Limits,
    Listen,
    Log,
    Name,
    Recordings,
    Redaction,
    Secret,
    Sites,
    Upstream,
)
from addons.core.quantities import Duration
from addons.core.yaml_form import validate
from addons.core.yaml_source import Path, Position, Problem, Section, Source, complaint, load


class Config(Section):
    """The whole of `ddgate.yaml`."""

    version: Literal[1]
    """The form of this file."""
    listen: Listen = Listen()
    control: Control = Control()
    inspector: Inspector = Inspector()
    certs: FileName = "certs"
    """Directory of the gateway's CA; made at the first start."""
    sites: Sites = hosts.SITES
    """Datadog sites that agents may reach; the rest is refused."""
    policy: Annotated[tuple[FileName, ...], Field(min_length=1)] = ("policies/default.yaml",)
    """Policy files; all of them together are one policy, in any order."""
    issuers: Annotated[tuple[Issuer, ...], Field(min_length=1), AfterValidator(unique_issuers)]
    """Who is believed about who an agent is."""
    identity: Identity = Identity()
    credentials: Annotated[Mapping[Name, Credential], Field(min_length=1)]
    """Datadog's real keys by the name that rules use; `default` where a rule names none."""
    upstream: Upstream = Upstream()
    limits: Limits = Limits()
    recordings: Recordings = Recordings()
    redaction: Redaction = Redaction()
    audit: Audit = Audit()
    approvals: Approvals = Approvals()
    drain: Annotated[Duration, Field(ge=0)] = 10.0
    """After SIGTERM, how long running calls may take to end."""
    log: Log = Log()

    @model_validator(mode="after")
    def _ports_apart(self) -> Self:
        taken: dict[int, str] = {}
        for name, port in (("listen", self.listen.port), ("control", self.control.port)) + (
            (("inspector", self.inspector.port),) if self.inspector.enabled else ()
        ):
            if port and port in taken:
                raise complaint(f"{taken[port]} and {name} use the same port, {port}", "give each its own")
            taken[port] = name
        return self

    @property
    def token_limits(self) -> TokenLimits:
        """Those of whoever is trusted the longest, a person's login included: a revocation may be of any."""
        login = self.control.login
        lives = [one.max_lifetime for one in self.issuers] + ([login.session] if login is not None else [])
        return TokenLimits(max(lives), max(one.leeway for one in self.issuers))


def read_source(text: str, name: str, environment: Mapping[str, str]) -> Source:
    """Read the text and lay the environment's values over it. Raises ProblemsError."""
    return with_environment(load(text, name), environment)


def load_config(text: str, name: str, environment: Mapping[str, str]) -> Config:
    """Read the configuration in `text`, called `name` in problems, under the `DDGATE__…` variables.

    Raises:
        ProblemsError: with every problem.

    """
    return validate(Config, read_source(text, name, environment))


def _nowhere(_path: Path) -> Position:
    return Position("configuration")


def sandbox_problems(
    config: Config, is_sandbox_ca: Callable[[str], bool], at: Callable[[Path], Position] = _nowhere
) -> tuple[Problem, ...]:
    """Why the sandbox is half on; empty when it is wholly on, or wholly off.

    `is_sandbox_ca` tells whether a CA file, named as in the configuration, is the sandbox's own. `at` is the
    position of a key. Anybody can sign for a sandbox issuer, so with one no call may reach the real Datadog;
    and a stand-in behind real identities would take real data for play.
    """
    sandbox_issuers = [issuer.is_sandbox for issuer in config.issuers]
    routes = config.upstream.connect_to
    sandbox_routes = {
        host: route.ca is not None and is_sandbox_ca(route.ca) for host, route in routes.items()
    }
    problems: list[Problem] = []
    if any(sandbox_issuers):
        index = sandbox_issuers.index(True)
        if "*" not in routes:
            problems.append(
                Problem(
                    at(("issuers", index, "issuer")),
                    "a sandbox issuer, and Datadog hosts that are dialled for real",
                    "send all of them to the sandbox with upstream.connect_to['*'], or name a real issuer",
                )
            )
        problems += [
            Problem(
                at(("upstream", "connect_to", host)),
                f"a sandbox issuer stands in issuers[{index}], and this upstream is not the sandbox",
                "remove the sandbox issuer, or send this host to the sandbox",
            )
            for host, is_sandbox in sandbox_routes.items()
            if not is_sandbox
        ]
    if any(sandbox_routes.values()):
        problems += [
            Problem(
                at(("issuers", index, "issuer")),
                "a real issuer, and an upstream that is the sandbox",
                "remove the sandbox from upstream.connect_to, or name the sandbox's issuer alone",
            )
            for index, is_sandbox in enumerate(sandbox_issuers)
            if not is_sandbox
        ]
    return tuple(problems)


__all__ = [
    "Config",
    "Credential",
    "Issuer",
    "Listen",
    "Secret",
    "load_config",
    "read_source",
    "sandbox_problems",
]
