"""Properties of what reads targets, YAML and tokens."""

# ruff: noqa: PT017 - an exception is one outcome here, not the one expected

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from hypothesis import strategies as st

from addons.core import hosts
from addons.core.catalogue import Catalogue
from addons.core.model import Json, Operation, Principal
from addons.core.presented import (
    Conflict,
    TokenProblem,
    UnverifiedToken,
    find_presented,
    from_api_key,
    from_identity_header,
    from_proxy_authorization,
    reconcile,
)
from addons.core.request_target import BadTarget, normalise, query_pairs
from addons.core.token_checks import TokenRejected
from addons.core.tokens import verify
from addons.core.yaml_source import ProblemsError, load
from addons.store.policy.files import read_catalogue
from tests.core.token_minting import ISSUER, NOW, Signer, b64, good_claims, raw_token, trust
from tests.long.core_property import Property, linear

_POLICY = (Path(__file__).resolve().parents[2] / "policies" / "default.yaml").read_text()
_PIECES = [
    *("/", "//", "/.", "/..", "/%2e%2e", "%2f", "%252f", "%5c", ";", "\\", "%00", "%c0%af", "%EF%BC%8F", "%"),
    *("?", "&", "=", "#", "+", "%20", "%7e", "_method", "X-HTTP-Method", "api", "v1", "v2", "monitor", "é"),
    *("logs", "events", "search", "{id}", "1", "\x00", "\r\n", "\u212a", "%E2%84%AA", "%ed%a0%80", "..", "*"),
]
targets = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join).map(lambda text: f"/{text}"),
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda raw: "/" + "".join(f"%{byte:02x}" for byte in raw)),
)


@cache
def _catalogue() -> Catalogue:
    return read_catalogue()


def check_target(unverified: str | bytes) -> None:
    with linear(len(unverified), seconds_per_mib=4):
        try:
            target = normalise(unverified)
        except BadTarget:
            return
    whole = f"{target.path}?{target.query}" if target.query else target.path
    assert normalise(whole) == target
    assert whole.isascii()
    assert whole.isprintable()
    for once in (target.path, unquote(target.path), unquote(unquote(target.path))):
        assert not {".", "..", ""} & set(once[1:].removesuffix("/").split("/") if len(once) > 1 else [])
        assert once.startswith("/")
    assert len(target.segments) == target.path.removesuffix("/").count("/")
    try:
        query_pairs(target.query)
    except BadTarget:
        return


def check_operation(given: tuple[str, str | bytes, str]) -> None:
    method, unverified, host = given
    try:
        target = normalise(unverified)
    except BadTarget:
        return
    found_host = hosts.lookup(host)
    assert found_host is not None
    operation = _catalogue().resolve(method, target.segments, found_host)
    if operation is None:
        return
    assert isinstance(operation, Operation)
    assert operation.method == ("GET" if method == "HEAD" else method)
    template = [part for part in operation.template.split("/") if part]
    assert len(template) == len(target.segments)
    for part, segment in zip(template, target.segments, strict=True):
        assert part.startswith("{") or part == segment


_OPERATION_PATHS = st.deferred(
    lambda: st.sampled_from([operation.template for operation in _catalogue().operations()])
)
_operations = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "TRACE", ""]),
    st.one_of(
        targets,
        st.tuples(_OPERATION_PATHS, st.sampled_from(["x", "1", "search", "a%20b", "%C3%A9", "~"])).map(
            lambda pair: "/".join(pair[1] if part.startswith("{") else part for part in pair[0].split("/"))
        ),
    ),
    st.sampled_from(["api.datadoghq.com", "api.datadoghq.eu", "http-intake.logs.datadoghq.com"]),
)

_YAML_PIECES = [
    *("a", "b: 1", "\n", "\n  ", ": ", "- ", "? ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "&a ", "*a"),
    *("!!str ", "!<%ff>", "%YAML 1.1\n", "%TAG ! x\n", "---\n", "...\n", "<<: ", "#", "\t", "\\", "\\x", "~"),
    *('"\\U', "FFFFFFFF", "00110000", '"\\ud800"', "0x", "0o", "7" * 400, "1e999", ".nan", "-.inf", "\ufeff"),
    *("\u2028", "\x85", "\x00", "\ud800", "12:30", "true", "on", "rules", "é", "😀", "=", "`", "@", "[" * 40),
]


def _mutated(text: str) -> st.SearchStrategy[str]:
    """`text` with a piece cut out somewhere, and something put there."""
    return st.tuples(
        st.integers(0, len(text)), st.integers(0, 30), st.sampled_from(_YAML_PIECES) | st.text(max_size=3)
    ).map(lambda cut: text[: cut[0]] + cut[2] + text[cut[0] + cut[1] :])


yaml_texts = st.one_of(
    st.lists(st.sampled_from(_YAML_PIECES), max_size=15).map("".join),
    st.text(max_size=80),
    _mutated(_POLICY[:1200]),
)


def check_yaml(text: str) -> None:
    with linear(len(text), seconds_per_mib=60):
        try:
            source = load(text, "fuzz.yaml")
        except ProblemsError as error:
            assert error.problems
            lines = text.count("\n") + text.count("\r") + text.count("\x85") + 3
            lines += text.count("\u2028") + text.count("\u2029")
            for problem in error.problems:
                assert str(problem).startswith("fuzz.yaml"), problem
                assert problem.position.line <= lines, problem
            return
    json.dumps(source.data, allow_nan=False).encode()  # nothing that other readers would refuse
    assert source.places[()].value.line >= 1


_KNOWN_YAML = [
    '"\\UFFFFFFFF"',
    '"\\U00110000"',
    f"%YAML {'1' * 5000}.1\n--- a",
    f"a: 0o{'7' * 20_000}",
    f"a: {'1' * 5000}",
]

_SIGNER = Signer()
_TOKEN = _SIGNER.token()
_TRUST = trust(_SIGNER.jwk())
_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def _signed(given: tuple[dict[str, Json], dict[str, Json]]) -> str:
    header = json.dumps({"alg": "ES256", "kid": "k1", **given[0]}).encode()
    claims = json.dumps({**good_claims(), **given[1]}).encode()
    return raw_token(header, claims, "ES256", _SIGNER.private)


def _spliced(given: tuple[int, int, str]) -> str:
    place, length, put = given
    return _TOKEN[:place] + put + _TOKEN[place + length :]


tokens = st.one_of(
    st.text(max_size=60),
    st.lists(st.binary(max_size=30).map(b64), min_size=1, max_size=6).map(".".join),
    st.tuples(st.integers(0, len(_TOKEN)), st.integers(0, 20), st.text(max_size=3)).map(_spliced),
    st.tuples(
        st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "x5u", "b64"]), _json),
        st.dictionaries(st.sampled_from([*good_claims(), "act", "events"]), _json, max_size=4),
    ).map(_signed),
)


def check_token(unverified: str) -> None:
    with linear(len(unverified), seconds_per_mib=60):
        try:
            principal = verify(unverified, _TRUST, NOW)
        except TokenRejected as rejected:
            assert len(unverified) < 8 or unverified not in f"{rejected.message} {rejected.remedy}"
            return
    assert principal.issuer == ISSUER
    assert principal.expires > NOW
    assert principal.subject.isprintable()


def _basic(raw: bytes) -> str:
    return f"Basic {base64.b64encode(raw).decode()}"


_presented_values = st.one_of(
    st.text(max_size=40),
    tokens,
    tokens.map(lambda token: f"Bearer {token}"),
    st.binary(max_size=40).map(_basic),
    tokens.map(lambda token: _basic(f"agent:{token}".encode("utf-8", "surrogatepass"))),
    tokens.map(lambda token: _basic(f"{token}:".encode("utf-8", "surrogatepass"))),
)
_value_lists = st.lists(_presented_values, max_size=3)


def check_presented(given: tuple[list[str], list[str], list[str]]) -> None:
    proxy, identity, api_key = given
    size = sum(len(value) for values in given for value in values)
    with linear(size, seconds_per_mib=30):
        singles = [
            from_proxy_authorization(proxy),
            from_identity_header(identity),
            from_api_key(api_key),
        ]
        found = find_presented(proxy_authorization=proxy, identity_header=identity, api_key=api_key)
    problems = [one for one in singles if isinstance(one, TokenProblem)]
    if problems:
        assert found == problems[0]
    else:
        assert found == tuple(one for one in singles if one is not None)
    for one in singles:
        if isinstance(one, UnverifiedToken):
            assert one.unverified_value
            assert len(one.unverified_value) < 12 or one.unverified_value not in repr(one)
            assert one.unverified_value.isascii()
        if isinstance(one, TokenProblem):
            sent = {value for values in given for value in values if len(value) > 12}
            assert not any(value in f"{one.message} {one.remedy}" for value in sent)


_principals = st.builds(
    Principal,
    issuer=st.sampled_from(["https://a", "https://b"]),
    subject=st.sampled_from(["one", "two"]),
    groups=st.frozensets(st.sampled_from(["agents", "sre"]), max_size=2),
    expires=st.sampled_from([1.0, 2.0, 3.0]),
    on_behalf_of=st.sampled_from([None, "bob"]),
    claims=st.dictionaries(st.sampled_from(["exp", "jti", "team"]), st.integers(0, 2)),
)


def check_reconciled(given: tuple[Principal | None, list[Principal]]) -> None:
    tunnel, own = given
    try:
        chosen = reconcile(tunnel, own)
    except Conflict as conflict:
        assert conflict.message
        assert own
        return
    assert chosen is (tunnel if not own else chosen)
    if own:
        assert chosen in own
        assert chosen is not None
        assert chosen.expires == min(one.expires for one in own)
        assert tunnel is None or (chosen.issuer, chosen.subject) == (tunnel.issuer, tunnel.subject)
        assert {one.groups for one in own} == {chosen.groups}


PROPERTIES = {
    "normalise": Property(targets, check_target),
    "resolve": Property(_operations, check_operation),
    "yaml": Property(yaml_texts, check_yaml, _KNOWN_YAML),
    "verify": Property(tokens, check_token),
    "presented": Property(st.tuples(_value_lists, _value_lists, _value_lists), check_presented),
    "reconcile": Property(
        st.tuples(st.none() | _principals, st.lists(_principals, max_size=3)), check_reconciled
    ),
}
