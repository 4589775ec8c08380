from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core import hosts
from addons.core.blocklist import TokenLimits
from addons.core.config import Config, load_config, sandbox_problems
from addons.core.quantities import format_duration, format_size, parse_duration, parse_size
from addons.core.verification_keys import ACCEPTED_ALGORITHMS
from addons.core.yaml_source import ProblemsError

SMALL = """version: 1
issuers:
  - issuer: https://issuer.example.com
    audience: ddgate
credentials:
  default: {api_key: {file: api.key}}
"""


def config(more: str = "", **environment: str) -> Config:
    return load_config(SMALL + more, "ddgate.yaml", environment)


def problems(text: str, **environment: str) -> list[str]:
    with pytest.raises(ProblemsError) as raised:
        load_config(text, "ddgate.yaml", environment)
    return str(raised.value).splitlines()


def test_the_defaults() -> None:
    small = config()
    assert (small.listen.host, small.listen.port, small.listen.tls) == ("127.0.0.1", 8080, None)
    assert (small.control.port, small.inspector.port, small.inspector.enabled) == (8081, 8082, True)
    assert small.sites == small.credentials["default"].sites == hosts.SITES
    issuer = small.issuers[0]
    assert issuer.algorithms == ("RS256", "ES256")
    assert (issuer.max_lifetime, issuer.leeway, issuer.max_stale) == (3600, 30, 86400)
    assert (issuer.claims.groups, issuer.claims.session, issuer.claims.on_behalf_of) == (
        *("groups", "session_id"),
        None,
    )
    assert small.identity.header == "X-DDGate-Identity"
    assert (small.limits.body, small.limits.decoded_body, small.limits.head) == (2**24, 2**26, 2**16)
    assert (small.upstream.timeout, small.drain) == (60, 10)


def test_a_revocation_is_needed_as_long_as_whatever_lives_longest() -> None:
    assert config().token_limits == TokenLimits(3600, 30)
    second = "issuers:\n  - {issuer: 'https://a', audience: d, max_lifetime: 2h, leeway: 5s}"
    longer = load_config(SMALL.replace("issuers:", second), "ddgate.yaml", {})
    assert longer.token_limits == TokenLimits(7200, 30)
    login = "control:\n  login: {issuer: 'https://people', client_id: c, session: 8h}\n"
    assert config(login).token_limits == TokenLimits(8 * 3600, 30)


def test_all_keys_at_once() -> None:
    full = load_config(
        """version: 1
listen: {host: 0.0.0.0, port: 443, tls: {certificate: F, key: G}, insecure_listen: false}
control: {host: 127.0.0.1, port: 8081}
inspector: {enabled: false, host: "::1", port: 8082}
certs: certs
sites: [datadoghq.com, datadoghq.eu]
policy: [a.yaml, b.yaml]
issuers:
  - {issuer: "http://127.0.0.1:9000/x", audience: a, algorithms: [EdDSA, PS256], jwks_uri: "https://k/jwks",
     ca: ca.pem, max_lifetime: 5m, leeway: 500ms, max_stale: 1d,
     claims: {groups: roles, session: null, on_behalf_of: /owner/email}}
identity: {header: X-Who}
credentials:
  default: {api_key: {file: F}, application_key: {env: NAME}, sites: [datadoghq.com], organisation: acme}
  readonly: {api_key: {command: [vault, read, x]}}
upstream:
  connect_to: {api.datadoghq.com: {address: 10.0.0.5, port: 8443, ca: F}, "*": {address: proxy.local}}
  timeout: 1m
limits: {body: 1MiB, decoded_body: 2000000, head: 16KiB}
recordings: {segment_size: 1MiB, segment_age: 5m}
drain: 0s
log: {level: debug, format: json}
""",
        "f",
        {},
    )
    assert full.issuers[0].leeway == 0.5
    assert full.credentials["readonly"].api_key.command == ("vault", "read", "x")
    assert full.upstream.connect_to["*"].port == 443
    assert full.limits.decoded_body == 2_000_000


@pytest.mark.parametrize(
    ("more", "position", "words"),
    [
        ("listen: {prot: 1}", "7:10", "did you mean 'port'?"),
        ("listen: {host: 0.0.0.0}", "7:9", "insecure_listen"),
        ("listen: {host: '::'}", "7:9", "without TLS"),
        ("listen: {host: gateway.internal}", "7:9", "without TLS"),
        ("listen: {port: 70000}", "7:16", "65535"),
        ("listen: {port: '80'}", "7:16", "whole number"),
        ("listen: {insecure_listen: yes}", "7:27", "true or false"),
        ("inspector: {host: 0.0.0.0}", "7:12", "loopback"),
        ("control: {port: 8080}", "1:1", "same port"),
        ("sites: [datadoghq.co]", "7:9", "did you mean 'datadoghq.com'?"),
        ("sites: []", "7:8", "must not be empty"),
        ("policy: a.yaml", "7:9", "must be a list"),
        ("identity: {header: 'a b'}", "7:11", "name of a header"),
        ("identity: {header: DD-API-KEY}", "7:11", "meaning of its own"),
        ("upstream: {timeout: 30}", "7:21", "a number and its unit"),
        (
            "upstream: {connect_to: {api.datadoghq.con: {address: a}}}",
            "7:24",
            "did you mean 'api.datadoghq.com'?",
        ),
        ("limits: {body: 16 megs}", "7:16", "64KiB"),
        ("limits: {body: 0}", "7:16", "greater than 0"),
        ("recordings: {segment_age: 0s}", "7:27", "greater than or equal to 1"),
        ("log: {level: verbose}", "7:14", "one of debug"),
        ("colour: red", "7:1", "unknown key 'colour'"),
    ],
)
def test_a_problem_has_its_place_and_a_remedy(more: str, position: str, words: str) -> None:
    (found,) = problems(SMALL + more)
    assert found.startswith(f"ddgate.yaml:{position}: ")
    assert words in found


def test_keys_that_never_count_are_refused() -> None:
    (found,) = problems(SMALL.replace("audience: ddgate", "audience: ddgate\n    max_stale: 0s"))
    assert "max_stale: must be greater than or equal to 10" in found


@pytest.mark.parametrize(
    "url",
    [
        *("http://issuer.example.com", "ftp://x", "issuer.example.com", "https://", "https://u:p@x"),
        *("https://x?a=b", "https://x#a", "https://x:99999", "http://127.0.0.1.example.com", "https://a b"),
    ],
)
def test_an_issuer_is_an_https_url_or_on_loopback(url: str) -> None:
    (found,) = problems(SMALL.replace("https://issuer.example.com", f"'{url}'"))
    assert found.startswith("ddgate.yaml:3:13: issuers[0].issuer")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/x", "http://localhost", "http://[::1]:1", "https://x.example/a"]
)
def test_an_issuer_may_be(url: str) -> None:
    assert (
        load_config(SMALL.replace("https://issuer.example.com", f"'{url}'"), "f", {}).issuers[0].issuer == url
    )


def test_algorithms_are_those_that_verification_takes() -> None:
    for algorithm in ACCEPTED_ALGORITHMS:
        assert config(DDGATE__ISSUERS__0__ALGORITHMS=f"[{algorithm}]").issuers[0].algorithms == (algorithm,)
    for algorithm in ("none", "HS256"):
        (found,) = problems(SMALL, DDGATE__ISSUERS__0__ALGORITHMS=f"[{algorithm}]")
        assert "RS256" in found


def test_an_issuer_stands_once() -> None:
    text = SMALL.replace("issuers:\n", "issuers:\n  - {issuer: https://issuer.example.com, audience: b}\n")
    assert "stands twice" in problems(text)[0]


@pytest.mark.parametrize("literal", ["s3cret", "12345678", "[s3cret]", "'s3cret'", "1.5"])
def test_a_literal_secret_is_refused_and_not_repeated(literal: str) -> None:
    (found,) = problems(SMALL.replace("{file: api.key}", literal))
    assert found.startswith("ddgate.yaml:6:22: credentials.default.api_key: a secret never stands")
    assert "s3cret" not in found
    assert "12345678" not in found
    (found,) = problems(SMALL, DDGATE__CREDENTIALS__DEFAULT__APPLICATION_KEY=literal)
    assert found.startswith("environment variable DDGATE__CREDENTIALS__DEFAULT__APPLICATION_KEY: ")
    assert "s3cret" not in found


@pytest.mark.parametrize(
    "source", ["{}", "{file: F, env: E}", "{file: null}", "{command: []}", "{env: 'dd key'}"]
)
def test_a_secret_has_exactly_one_source(source: str) -> None:
    (found,) = problems(SMALL.replace("{file: api.key}", source))
    assert found.startswith("ddgate.yaml:6:")


def test_version_issuers_and_credentials_are_needed() -> None:
    assert [line.split(": ", 1)[1] for line in problems("")] == [
        "'credentials' is missing (add it)",
        "'issuers' is missing (add it)",
        "'version' is missing (add version: 1)",
    ]
    assert problems("version: 1\nissuers: []\ncredentials: {}")
    assert problems(SMALL.replace("version: 1", "version: 2"))


def test_any_key_can_come_from_the_environment() -> None:
    found = config(
        "listen: {port: 1}\n",
        DDGATE__LISTEN__PORT="9090",
        DDGATE__DRAIN="30s",
        DDGATE__INSPECTOR="{enabled: false}",
        DDGATE__ISSUERS__0__CLAIMS__GROUPS="roles",
        DDGATE__ISSUERS__1="{issuer: https://b.example, audience: b}",
        DDGATE__CREDENTIALS__OTHER__API_KEY__ENV="KEY",
        DDGATE_CONFIG="elsewhere",
        DD_API_KEY="real",
    )
    assert (found.listen.port, found.drain, found.inspector.enabled) == (9090, 30, False)
    assert found.issuers[0].claims.groups == "roles"
    assert found.issuers[1].audience == "b"
    assert found.credentials["other"].api_key.env == "KEY"


def test_the_more_particular_variable_wins() -> None:
    assert config(DDGATE__LISTEN="{port: 1}", DDGATE__LISTEN__PORT="2").listen.port == 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DDGATE__LISTEN__PORT", "many", "listen.port: must be a whole number"),
        ("DDGATE__LISTEN__PROT", "1", "did you mean 'port'?"),
        ("DDGATE__LISEN__PORT", "1", "unknown key 'lisen'"),
        ("DDGATE__LISTEN__PORT__X", "1", "has no keys"),
        ("DDGATE__ISSUERS__5__AUDIENCE", "a", "past its end"),
        ("DDGATE__ISSUERS__X", "a", "no place in a list"),
        ("DDGATE__", "a", "names no key"),
        ("DDGATE__DRAIN", "[1", "not YAML"),
        ("DDGATE__DRAIN", "*x", "aliases"),
        ("DDGATE__CERTS", "", "certs: must be text"),
    ],
)
def test_a_problem_of_the_environment_names_the_variable(name: str, value: str, words: str) -> None:
    (found,) = problems(SMALL + "listen: {port: 1}\n", **{name: value})
    assert found.startswith(f"environment variable {name}: ")
    assert words in found


SANDBOX = SMALL.replace("https://issuer.example.com", "http://127.0.0.1:1/ddgate-sandbox")
REAL = SMALL
ALL_SANDBOX = 'upstream: {connect_to: {"*": {address: 127.0.0.1, ca: sandbox.pem}}}'
ONE_SANDBOX = "upstream: {connect_to: {api.datadoghq.com: {address: 127.0.0.1, ca: sandbox.pem}}}"
ONE_REAL = (
    'upstream: {connect_to: {"*": {address: 127.0.0.1, ca: sandbox.pem},'
    " api.datadoghq.com: {address: 10.0.0.1, ca: real.pem}}}"
)
NO_CA = 'upstream: {connect_to: {"*": {address: 127.0.0.1}}}'
BOTH = SANDBOX.replace("issuers:\n", "issuers:\n  - {issuer: https://real.example, audience: a}\n")


@pytest.mark.parametrize(
    ("text", "wholly"),
    [
        (REAL, True),
        (SANDBOX + ALL_SANDBOX, True),
        (REAL + 'upstream: {connect_to: {"*": {address: 10.0.0.1, ca: real.pem}}}', True),
        (SANDBOX, False),
        (SANDBOX.replace("ddgate-sandbox", "DDGate%2Dsandbox/"), False),
        (SANDBOX + ONE_SANDBOX, False),
        (SANDBOX + ONE_REAL, False),
        (SANDBOX + NO_CA, False),
        (REAL + ALL_SANDBOX, False),
        (REAL + ONE_SANDBOX, False),
        (BOTH + ALL_SANDBOX, False),
        (BOTH, False),
    ],
)
def test_the_sandbox_is_never_half_on(text: str, wholly: bool) -> None:
    found = sandbox_problems(load_config(text, "f", {}), lambda ca: ca == "sandbox.pem")
    assert (not found) is wholly


@given(st.integers(0, 10**6))
def test_durations_and_sizes_are_written_as_they_are_read(number: int) -> None:
    assert parse_duration(format_duration(float(number))) == number
    assert parse_duration(format_duration(number / 1000)) == pytest.approx(number / 1000)
    assert parse_size(format_size(number)) == number
    assert parse_size(format_size(number * 1024)) == number * 1024


@pytest.mark.parametrize("text", ["", "s", "-1s", "1", "1 h 2", "1H", "1e3s", "\u0661s", "1s\n"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1.5MiB", "1 TiB", "1kib", "1\n"])
def test_what_is_no_size(text: str) -> None:
    assert parse_size(text) is None
