from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from addons.store.identity.issuer_http import FetchFailed, FetchLimits
from addons.store.identity.key_set_fetch import IssuerSettings, fetch_keys
from addons.store.identity.key_sets import KeySets, RefreshPace
from tests.core.token_minting import AUDIENCE, Signer
from tests.store.loopback_issuer import DISCOVERY, KEYS, Answer, LoopbackIssuer, make_certificate, send

OLD = Signer(key_id="old")
NEW = Signer(kind="p256/new", key_id="new")
LIMITS = FetchLimits(seconds=5.0, answer_bytes=20_000)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer(OLD) as running:
        yield running


@pytest.fixture
def settings(issuer: LoopbackIssuer) -> IssuerSettings:
    return IssuerSettings(issuer.url, (AUDIENCE,), max_stale=600.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def key_sets(settings: IssuerSettings, clock: Clock) -> AsyncIterator[KeySets]:
    sets = KeySets([settings], clock=clock, limits=LIMITS)
    yield sets
    sets.close()


def known(key_sets: KeySets, issuer: LoopbackIssuer) -> set[str]:
    trust = key_sets.trust_of(issuer.url)
    assert trust is not None
    return set(trust.keys)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 5 s"
        await asyncio.sleep(0.005)


def spoilings(url: str) -> dict[str, tuple[str, Answer, str]]:
    elsewhere = {"issuer": url, "jwks_uri": "http://keys.example/keys"}
    other = {"issuer": "https://other.example", "jwks_uri": url + KEYS}
    no_uri = {"issuer": url}
    file_uri = {"issuer": url, "jwks_uri": "file:///etc/passwd"}
    full = json.dumps({"keys": [OLD.jwk()]}).encode()
    return {
        "server error": (KEYS, send(500, full), "HTTP status 500"),
        "redirect": (KEYS, send(302, full, Location=url + "/good"), "redirects are not followed"),
        "discovery redirect": (DISCOVERY, send(301, b"", Location=url), "redirects"),
        "html": (KEYS, send(200, b"<html>oops</html>"), "key set"),
        "empty": (KEYS, send(200, b""), "key set"),
        "no keys": (KEYS, send(200, b'{"keys": []}'), "no usable key"),
        "only small keys": (
            KEYS,
            send(200, json.dumps({"keys": [Signer("RS256", "rsa-1024").jwk()]}).encode()),
            "no usable key",
        ),
        "oversized": (KEYS, send(200, full + b" " * 20_001), "larger than 20000 bytes"),
        "compressed": (KEYS, send(200, full, Content_Encoding="gzip"), "compressed"),
        "no HTTP": (
            KEYS,
            lambda handler: handler.wfile.write(b"\x00\x01\r\n\r\n") and None,
            "RemoteProtocol",
        ),
        "cut short": (KEYS, send(200, full[:20], Content_Length="900"), "RemoteProtocol"),
        "discovery is no JSON": (DISCOVERY, send(200, b"["), "discovery document"),
        "another issuer": (DISCOVERY, send(200, json.dumps(other).encode()), "another issuer"),
        "plain keys elsewhere": (DISCOVERY, send(200, json.dumps(elsewhere).encode()), "must be https"),
        "keys in a file": (DISCOVERY, send(200, json.dumps(file_uri).encode()), "not an https URL"),
        "no jwks_uri": (DISCOVERY, send(200, json.dumps(no_uri).encode()), "no jwks_uri"),
    }


SPOILINGS = list(spoilings("http://127.0.0.1:1"))


@pytest.mark.parametrize("name", SPOILINGS)
async def test_a_bad_answer_gives_no_keys_and_takes_none_away(
    name: str, issuer: LoopbackIssuer, key_sets: KeySets, clock: Clock
) -> None:
    path, answer, said = spoilings(issuer.url)[name]
    issuer.spoiled[path] = answer
    await key_sets.refresh_on_demand(issuer.url)
    (state,) = key_sets.freshness()
    assert said in (state.last_error or "")
    assert (state.ready, state.keys, state.age) == (False, 0, None)
    assert known(key_sets, issuer) == set()

    issuer.spoiled.clear()
    clock.now += 31
    await key_sets.refresh_on_demand(issuer.url)
    assert known(key_sets, issuer) == {"old"}

    issuer.spoiled[path] = answer
    clock.now += 31
    await key_sets.refresh_on_demand(issuer.url)
    (state,) = key_sets.freshness()
    assert known(key_sets, issuer) == {"old"}
    assert (state.ready, state.age) == (True, 31.0)
    assert said in (state.last_error or "")


async def test_a_redirect_is_never_followed(issuer: LoopbackIssuer, key_sets: KeySets) -> None:
    issuer.spoiled[KEYS] = send(302, b"", Location=issuer.url + "/elsewhere")
    await key_sets.refresh_on_demand(issuer.url)
    assert issuer.asked["/elsewhere"] == 0


async def test_an_issuer_that_drips_is_given_up_at_the_deadline(
    issuer: LoopbackIssuer, settings: IssuerSettings
) -> None:
    issuer.spoiled[KEYS] = issuer.hang
    key_sets = KeySets([settings], limits=FetchLimits(seconds=0.3))
    started = time.monotonic()
    await key_sets.refresh_on_demand(issuer.url)
    assert time.monotonic() - started < 3
    assert "no answer within 0.3 s" in (key_sets.freshness()[0].last_error or "")
    key_sets.close()


async def test_the_loop_runs_on_while_an_issuer_is_slow(
    issuer: LoopbackIssuer, settings: IssuerSettings
) -> None:
    issuer.spoiled[KEYS] = issuer.hang
    key_sets = KeySets([settings], limits=FetchLimits(seconds=1.0))
    fetching = asyncio.create_task(key_sets.refresh_on_demand(issuer.url))
    ticks = 0
    while not fetching.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 20
    key_sets.close()


async def test_one_slow_issuer_holds_up_no_other(issuer: LoopbackIssuer, settings: IssuerSettings) -> None:
    with LoopbackIssuer(NEW) as other:
        issuer.spoiled[DISCOVERY] = issuer.hang
        key_sets = KeySets([settings, replace(settings, issuer=other.url)], limits=LIMITS)
        slow = asyncio.create_task(key_sets.refresh_on_demand(issuer.url))
        await until(lambda: issuer.asked[DISCOVERY] == 1)
        await key_sets.refresh_on_demand(other.url)
        assert known(key_sets, other) == {"new"}
        assert not slow.done()
        issuer.close()
        await slow
        key_sets.close()


async def test_concurrent_demands_share_one_fetch(issuer: LoopbackIssuer, key_sets: KeySets) -> None:
    await asyncio.gather(*(key_sets.refresh_on_demand(issuer.url) for _ in range(100)))
    assert issuer.asked == {DISCOVERY: 1, KEYS: 1}


async def test_a_caller_that_leaves_does_not_end_the_fetch_for_the_others(
    issuer: LoopbackIssuer, key_sets: KeySets
) -> None:
    first = asyncio.create_task(key_sets.refresh_on_demand(issuer.url))
    second = asyncio.create_task(key_sets.refresh_on_demand(issuer.url))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert known(key_sets, issuer) == {"old"}


async def test_demands_within_the_cooldown_fetch_nothing(
    issuer: LoopbackIssuer, key_sets: KeySets, clock: Clock
) -> None:
    for _ in range(50):
        await key_sets.refresh_on_demand(issuer.url)
    clock.now += 29.9
    await key_sets.refresh_on_demand(issuer.url)
    assert issuer.asked[KEYS] == 1
    clock.now += 0.2
    await key_sets.refresh_on_demand(issuer.url)
    assert issuer.asked[KEYS] == 2


async def test_a_clock_that_jumps_back_does_not_stop_demands(
    issuer: LoopbackIssuer, key_sets: KeySets, clock: Clock
) -> None:
    await key_sets.refresh_on_demand(issuer.url)
    clock.now -= 500
    await key_sets.refresh_on_demand(issuer.url)
    assert issuer.asked[KEYS] == 2


async def test_keys_outlive_an_outage_but_not_max_stale(
    issuer: LoopbackIssuer, key_sets: KeySets, clock: Clock
) -> None:
    await key_sets.refresh_on_demand(issuer.url)
    issuer.close()
    clock.now += 600
    await key_sets.refresh_on_demand(issuer.url)
    assert known(key_sets, issuer) == {"old"}
    assert key_sets.freshness()[0].ready
    assert "cannot be reached" in (key_sets.freshness()[0].last_error or "")
    clock.now += 1
    assert known(key_sets, issuer) == set()
    assert not key_sets.freshness()[0].ready
    assert set(key_sets.trusts()[issuer.url].keys) == set()


async def test_the_trust_is_the_same_object_until_the_keys_change(
    issuer: LoopbackIssuer, key_sets: KeySets, clock: Clock
) -> None:
    await key_sets.refresh_on_demand(issuer.url)
    before, generation = key_sets.trust_of(issuer.url), key_sets.generation
    clock.now += 31
    await key_sets.refresh_on_demand(issuer.url)
    assert key_sets.trust_of(issuer.url) is before
    issuer.keys = [NEW.jwk()]
    clock.now += 31
    await key_sets.refresh_on_demand(issuer.url)
    assert key_sets.trust_of(issuer.url) is not before
    assert known(key_sets, issuer) == {"new"}
    assert key_sets.generation == generation + 1


async def test_the_background_fetches_again_and_again_and_recovers(
    issuer: LoopbackIssuer, settings: IssuerSettings
) -> None:
    issuer.spoiled[KEYS] = send(503, b"")
    key_sets = KeySets([settings], limits=LIMITS, pace=RefreshPace(interval=0.02, first_retry=0.01))
    running = asyncio.create_task(key_sets.run())
    await until(lambda: issuer.asked[KEYS] >= 3)
    assert known(key_sets, issuer) == set()
    issuer.spoiled.clear()
    await until(lambda: known(key_sets, issuer) == {"old"})
    issuer.keys = [NEW.jwk()]
    await until(lambda: known(key_sets, issuer) == {"new"})
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    key_sets.close()


async def test_keys_that_count_briefly_are_fetched_before_they_are_stale(
    issuer: LoopbackIssuer, settings: IssuerSettings
) -> None:
    key_sets = KeySets([replace(settings, max_stale=0.1)], limits=LIMITS, pace=RefreshPace(interval=3600))
    running = asyncio.create_task(key_sets.run())
    await until(lambda: issuer.asked[KEYS] >= 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    key_sets.close()


def test_a_configured_jwks_uri_needs_no_discovery(issuer: LoopbackIssuer, settings: IssuerSettings) -> None:
    assert set(fetch_keys(replace(settings, jwks_uri=issuer.url + KEYS), LIMITS)) == {"old"}
    assert issuer.asked == {KEYS: 1}


def test_tls_is_verified_against_the_issuers_own_ca(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "server.pem")
    with LoopbackIssuer(OLD, certificate=certificate) as secure:
        trusted = IssuerSettings(secure.url, (AUDIENCE,), ca=certificate)
        assert set(fetch_keys(trusted, LIMITS)) == {"old"}
        for ca in (None, make_certificate(tmp_path / "other.pem")):
            with pytest.raises(FetchFailed, match="certificate"):
                fetch_keys(replace(trusted, ca=ca), LIMITS)
        secure.spoiled[DISCOVERY] = send(
            200, json.dumps({"issuer": secure.url, "jwks_uri": "http://127.0.0.1:1/keys"}).encode()
        )
        with pytest.raises(FetchFailed, match="must be https"):
            fetch_keys(trusted, LIMITS)


def test_a_ca_file_that_cannot_serve_is_named(tmp_path: Path, settings: IssuerSettings) -> None:
    with pytest.raises(FetchFailed, match="cannot be read: No such file"):
        fetch_keys(replace(settings, ca=tmp_path / "absent.pem"), LIMITS)
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(FetchFailed, match="holds no PEM certificate"):
        fetch_keys(replace(settings, ca=tmp_path / "empty.pem"), LIMITS)


def test_the_environments_proxy_is_not_used(
    monkeypatch: pytest.MonkeyPatch, settings: IssuerSettings
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert set(fetch_keys(settings, LIMITS)) == {"old"}


def test_an_issuer_that_cannot_be_reached_is_said_so() -> None:
    with pytest.raises(FetchFailed, match="cannot be reached"):
        fetch_keys(IssuerSettings("http://127.0.0.1:1", (AUDIENCE,)), LIMITS)


@pytest.mark.parametrize(
    ("issuer_name", "jwks_uri"),
    [
        ("http://issuer.example", None),
        ("http://10.0.0.1", None),
        ("issuer", None),
        ("ftp://issuer.example", None),
        ("https://", None),
        ("https://user:pw@issuer.example", None),
        ("https://issuer.example#x", None),
        ("https://issuer.example?x=1", None),
        ("https://issuer.example:99999", None),
        ("https://[::1", None),
        ("https://issuer.example", "http://issuer.example/keys"),
        ("https://issuer.example", "http://127.0.0.1/keys"),
        ("http://127.0.0.1:9", "http://issuer.example/keys"),
        ("spiffe://example.org", "http://127.0.0.1/keys"),
        ("https://issuer.example", ""),
    ],
)
def test_settings_that_would_fetch_keys_in_the_clear_are_refused(
    issuer_name: str, jwks_uri: str | None
) -> None:
    with pytest.raises(ValueError, match=r"^issuer '"):
        IssuerSettings(issuer_name, (AUDIENCE,), jwks_uri=jwks_uri)


@pytest.mark.parametrize(
    ("issuer_name", "jwks_uri"),
    [
        ("https://issuer.example/realm/a", None),
        ("http://127.0.0.1:9", None),
        ("http://[::1]:9", "http://localhost:9/keys"),
        ("spiffe://example.org", "https://keys.example/keys"),
    ],
)
def test_settings_over_tls_or_loopback_stand(issuer_name: str, jwks_uri: str | None) -> None:
    assert IssuerSettings(issuer_name, (AUDIENCE,), jwks_uri=jwks_uri).issuer == issuer_name


def test_settings_that_check_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="audience"):
        IssuerSettings("https://i.example", ())
    with pytest.raises(ValueError, match="algorithms"):
        IssuerSettings("https://i.example", ("a",), algorithms=("HS256",))
    with pytest.raises(ValueError, match="max_stale"):
        IssuerSettings("https://i.example", ("a",), max_stale=float("inf"))


def test_an_issuer_configured_twice_is_refused(settings: IssuerSettings) -> None:
    with pytest.raises(ValueError, match="twice"):
        KeySets([settings, settings])
