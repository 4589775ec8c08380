"""`ddgate token`: what a token says, and why the gateway refuses it."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from addons.cli import sandbox_config
from addons.cli.audit.lines import when
from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption
from addons.core.blocklist import Block, BlockKind, Blocklist, Named, TokenLimits
from addons.core.config import Config, load_config
from addons.core.model import Json, Principal
from addons.core.start_problems import GatewayProblem
from addons.core.token_explaining import Check, Explanation, Outcome, explain, issuer_named
from addons.core.token_parts import MAX_TOKEN_BYTES
from addons.core.yaml_source import Position
from addons.store import moment
from addons.store.audit.problems import AuditLogUnusable
from addons.store.blocking.blocks import Blocks, words
from addons.store.config_file import read_text
from addons.store.identity.configured_issuers import issuer_settings
from addons.store.identity.issuer_http import FetchFailed, FetchLimits
from addons.store.identity.key_set_fetch import fetch_keys
from addons.store.state_dir import StateDir

app = typer.Typer()

_VARIABLE = "DDGATE_TOKEN"
_STANDARD_INPUT = "-"
_MAX_READ = 4 * MAX_TOKEN_BYTES
_STYLES = {Outcome.OK: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}

TokenArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TOKEN]",
        help="The token, or `-`: what comes in. Other users of this machine see a command's arguments, so "
        f"give a token that is worth something by `-`, --file or {_VARIABLE}.",
    ),
]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="A file that holds the token.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="DDGATE_CONFIG",
        help="The gateway's configuration; else ./ddgate.yaml in the checkout, or the sandbox's.",
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Fetch no keys, and leave the signature unchecked.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


@app.command()
def token(  # noqa: PLR0913 - each is an option of the command
    unverified_token: TokenArgument = None,
    file: FileOption = None,
    config_path: ConfigOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decode a token and say of every check whether it passes, and how to mend what doesn't.

    The checks are the gateway's own, by the issuers in its configuration, whose keys are fetched as the
    gateway fetches them, and whether it is revoked, or its bearer frozen, by the gateway's state directory,
    where that can be read here. Then comes who the caller would be there. The signature is never printed.
    Exit status: 0 the token would be accepted (with --offline: nothing speaks against it), 1 it is refused,
    or can't be checked.

    Why was I refused? `ddgate token --file /var/run/secrets/tokens/ddgate`

    What comes out of a command: `get-token | ddgate token -`

    Who would I be? `ddgate token --json - < token | jq .principal`
    """
    with told_plainly():
        text = _given(unverified_token, file)
        path = _config_file(config_path, state)
        config = load_config(
            read_text(path, Position(str(path)), "name it with --config"), str(path), os.environ
        )
        explanation = _explained(text, config, path.absolute().parent, offline=offline)
        if explanation.principal is not None:
            explanation = _with_blocks(explanation, explanation.principal, state, config.token_limits)
    if as_json:
        typer.echo(json.dumps(explanation_json(explanation), indent=2))
    else:
        _print(explanation, str(path))
    if explanation.is_refused or (explanation.principal is None and not offline):
        raise typer.Exit(1)


def _given(unverified_token: str | None, file: Path | None) -> str:
    """Read the token, without `Bearer` and blanks around it. Raises GatewayProblem, OSError."""
    if file is not None and unverified_token is not None:
        raise GatewayProblem("give the token or --file, not both")
    if file is not None:
        with file.open("rb") as opened:
            text = opened.read(_MAX_READ).decode("utf-8", "replace")
    elif unverified_token == _STANDARD_INPUT:
        text = sys.stdin.buffer.read(_MAX_READ).decode("utf-8", "replace")
    elif unverified_token is not None:
        text = unverified_token
    else:
        text = os.environ.get(_VARIABLE, "")
    bare = text.strip()
    if bare[:7].lower() == "bearer ":
        bare = bare[7:].strip()
    if not bare:
        raise GatewayProblem(f"no token: give `-` and pipe it in, or --file, or the variable {_VARIABLE}")
    return bare


def _config_file(named: Path | None, state: Path) -> Path:
    usual, sandbox = PROJECT_ROOT / "ddgate.yaml", sandbox_config.config_path(state)
    if named is None and not usual.exists() and sandbox.exists():
        return sandbox
    return named or usual


def _explained(text: str, config: Config, base: Path, *, offline: bool) -> Explanation:
    settings = {one.issuer: one for one in issuer_settings(config, base)}
    trusts = {name: one.trust({}) for name, one in settings.items()}
    why = "not fetched, by --offline" if offline else None
    issuer = issuer_named(text, trusts)
    if issuer is not None and not offline:
        try:
            trusts[issuer] = settings[issuer].trust(fetch_keys(settings[issuer], FetchLimits()))
        except FetchFailed as failed:
            why = f"the issuer's keys: {failed}"
    return explain(text, trusts, time.time(), without_keys=why)


def _with_blocks(
    explanation: Explanation, principal: Principal, state: Path, limits: TokenLimits
) -> Explanation:
    """Add the check that only the gateway's own state can answer."""
    log = StateDir(state).audit_log
    blocks = Blocks(log)
    try:
        # before there was such a list, nobody could be on it
        stored = blocks.all(before_there_were=()) if log.exists() else None
        problem = f"no audit log at {log}" if stored is None else ""
    except AuditLogUnusable as error:
        stored, problem = None, error.what
    except OSError as error:
        stored, problem = None, f"{log}: {error.strerror}"
    finally:
        blocks.close()
    if stored is None:
        remedy = "Name the gateway's state directory with --state, as a user who may read it."
        check = Check(
            "blocklist", Outcome.SKIPPED, f"not known whether it is frozen or revoked: {problem}", remedy
        )
        return replace(explanation, checks=(*explanation.checks, check))
    now = moment.now()
    in_force = (one.block for one in stored if not one.is_over(now, limits.longest))
    found = Blocklist(in_force, limits.leeway).find(principal)
    if found is None:
        return replace(explanation, checks=(*explanation.checks, Check("blocklist", Outcome.OK)))
    return replace(explanation, checks=(*explanation.checks, _blocked(found)), principal=None)


def _blocked(block: Block) -> Check:
    said = f"{words(block)}, by {block.by}, since {when(block.at)}"
    if block.kind is BlockKind.FREEZE:
        remedy = "When that is over: `ddgate unfreeze`."
    elif block.named is Named.SESSION:
        remedy = "Begin another run."
    else:
        remedy = "Get a new token."
    return Check("blocklist", Outcome.FAILED, f"{said}: {block.reason}" if block.reason else said, remedy)


def explanation_json(explanation: Explanation) -> Json:
    """Make data: `header` and `claims` as the token has them, whoever wrote it, `checks` in order, and
    `principal`, null unless all of them passed.
    """
    unverified = explanation.unverified
    return {
        "accepted": explanation.principal is not None,
        "header": dict(unverified.unverified_header) if unverified else None,
        "claims": dict(unverified.unverified_claims) if unverified else None,
        "checks": [
            {"check": one.name, "outcome": one.outcome.value, "detail": one.detail, "remedy": one.remedy}
            for one in explanation.checks
        ],
        "principal": _principal_json(explanation.principal) if explanation.principal else None,
    }


def _principal_json(principal: Principal) -> Json:
    return {
        "issuer": principal.issuer,
        "subject": principal.subject,
        "groups": list[Json](sorted(principal.groups)),
        "on_behalf_of": principal.on_behalf_of,
        "actors": [{"issuer": each.issuer, "subject": each.subject} for each in principal.actors],
        "session": principal.session,
        "token_id": principal.token_id,
        "claims": dict(principal.claims),
    }


def _print(explanation: Explanation, config: str) -> None:
    out = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
    if explanation.unverified is not None:
        # As JSON, whose escapes keep what a stranger wrote off the terminal's controls.
        out.print("header  " + json.dumps(dict(explanation.unverified.unverified_header)))
        out.print("claims  " + json.dumps(dict(explanation.unverified.unverified_claims), indent=2))
    out.print()
    for check in explanation.checks:
        _print_check(out, check)
    out.print()
    principal = explanation.principal
    if principal is None:
        refused = explanation.is_refused
        out.print("refused" if refused else "not wholly checked", style="bold red" if refused else "yellow")
        out.print(f"checked by {config}")
        return
    out.print(f"accepted by {config}", style="bold green")
    told = {
        "principal": principal.subject,
        "issuer": principal.issuer,
        "groups": ", ".join(sorted(principal.groups)) or "none",
        "on behalf of": principal.on_behalf_of or "nobody",
        "actors": ", ".join(each.subject for each in principal.actors),
        "session": principal.session or principal.token_id or "none",
    }
    for name, value in told.items():
        if value:
            out.print(f"  {name:13} {value}")


def _print_check(out: Console, check: Check) -> None:
    # what stands in a header or in the configuration may hold anything
    detail = "".join(each if each.isprintable() else "?" for each in check.detail)
    line = Text(f"  {check.outcome.value:8}", style=_STYLES[check.outcome])
    line.append(f"{check.name:12} ", style="default")
    line.append(detail, style="default")
    out.print(line)
    if check.remedy:
        out.print(f"  {'':8}{'':12} {check.remedy}")
