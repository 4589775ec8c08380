"""I3 at the source: a key is read from where it lies when it changes, and no text about it holds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from addons.store.credentials import CredentialProblem, Credentials, CredentialSettings, SecretSource

OLD = "0123456789abcdef0123456789abcdef"
NEW = "fedcba9876543210fedcba9876543210"
SITES = frozenset({"datadoghq.com"})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def credentials(
    api: SecretSource,
    application: SecretSource | None = None,
    environment: dict[str, str] | None = None,
    clock: Clock | None = None,
) -> Credentials:
    settings = CredentialSettings("default", api, application, SITES)
    return Credentials([settings], environment or {}, clock or Clock())


def command(script: str) -> SecretSource:
    return SecretSource(command=(sys.executable, "-c", script))


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"  {OLD}\r\n")
    one = credentials(SecretSource(file=path))
    assert one.get("default").api_key == OLD.encode()
    replacement = tmp_path / "new"
    replacement.write_text(NEW)
    replacement.replace(path)
    assert one.get("default").api_key == NEW.encode()
    assert not one.is_slow("default")


def test_i3_a_replaced_key_is_searched_for_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(OLD)
    one = credentials(SecretSource(file=path), SecretSource(variable="APP"), {"APP": "a" * 40})
    assert one.known_secrets() == ()
    one.load_all()
    path.write_text(NEW)
    os.utime(path, ns=(1, 1))
    one.get("default")
    assert {value for _, value in one.known_secrets()} == {OLD.encode(), NEW.encode(), b"a" * 40}
    path.write_text(OLD)
    os.utime(path, ns=(2, 2))
    one.get("default")
    assert {value for _, value in one.known_secrets()} == {OLD.encode(), NEW.encode(), b"a" * 40}


@pytest.mark.parametrize(
    "content", [b"", b" \n\t", b"one two", b"a\nb", b"k\xc3\xa9y", b"a\x00b", b"a" * 513]
)
def test_a_file_that_is_not_one_key_is_a_problem_and_the_old_key_is_not_used(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "key"
    path.write_text(OLD)
    one = credentials(SecretSource(file=path))
    one.load_all()
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    for _ in range(2):
        with pytest.raises(CredentialProblem, match="alone") as problem:
            one.get("default")
        assert str(path) in str(problem.value)
        assert OLD not in str(problem.value)
        if content.strip():
            assert content.decode("latin-1") not in str(problem.value)
    path.write_text(NEW)
    assert one.get("default").api_key == NEW.encode()


def test_a_file_that_goes_is_a_problem_until_it_is_back_even_unchanged(tmp_path: Path) -> None:
    path, away = tmp_path / "key", tmp_path / "away"
    path.write_text(OLD)
    one = credentials(SecretSource(file=path))
    one.load_all()
    path.rename(away)
    with pytest.raises(CredentialProblem, match="No such file"):
        one.get("default")
    away.rename(path)
    assert one.get("default").api_key == OLD.encode()


def test_a_variable_is_read_and_a_missing_one_named() -> None:
    assert (
        credentials(SecretSource(variable="K"), environment={"K": OLD}).get("default").api_key == OLD.encode()
    )
    with pytest.raises(CredentialProblem, match=r"environment variable K: is not set; export it"):
        credentials(SecretSource(variable="K")).get("default")
    with pytest.raises(CredentialProblem, match="alone"):
        credentials(SecretSource(variable="K"), environment={"K": " "}).get("default")


def counting(tmp_path: Path, printed: str) -> SecretSource:
    """A command that leaves a mark each time it runs."""
    return command(f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); print({printed!r})")


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text())


def test_a_command_runs_once_in_its_lifetime_and_never_on_the_event_loop(tmp_path: Path) -> None:
    clock = Clock()
    one = credentials(counting(tmp_path, OLD), clock=clock)
    assert one.is_slow("default")
    for _ in range(3):
        assert one.get("default").api_key == OLD.encode()
    assert runs(tmp_path) == 1
    clock.now += 299
    assert not one.is_slow("default")
    one.get("default")
    assert runs(tmp_path) == 1
    clock.now += 2
    assert one.is_slow("default")
    one.get("default")
    assert runs(tmp_path) == 2


def test_a_command_that_fails_is_not_started_for_every_call(tmp_path: Path) -> None:
    clock = Clock()
    one = credentials(counting(tmp_path, ""), clock=clock)
    for _ in range(5):
        with pytest.raises(CredentialProblem, match="holds no key"):
            one.get("default")
    assert runs(tmp_path) == 1
    clock.now += 6
    with pytest.raises(CredentialProblem):
        one.get("default")
    assert runs(tmp_path) == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (command(f"import sys; print('{OLD}'); print('{NEW}', file=sys.stderr); sys.exit(7)"), "status 7"),
        (command(f"print('{OLD}'); print('{NEW}')"), "is not one key"),
        (SecretSource(command=("/nowhere/at/all", OLD)), "did not run: FileNotFoundError"),
    ],
)
def test_a_command_that_fails_says_nothing_of_what_it_was_told_or_printed(
    source: SecretSource, said: str
) -> None:
    with pytest.raises(CredentialProblem, match=said) as problem:
        credentials(source).get("default")
    for text in (str(problem.value), str(source)):
        assert OLD not in text
        assert NEW not in text
        assert " -c" not in text


def test_i3_no_representation_shows_a_key() -> None:
    one = credentials(SecretSource(variable="K"), SecretSource(variable="K"), {"K": OLD})
    credential = one.get("default")
    for shown in (repr(credential), str(credential), f"{credential}", repr(one), repr(vars(one))):
        assert OLD not in shown


def test_a_credential_that_is_not_configured_is_a_problem() -> None:
    one = credentials(SecretSource(variable="K"), environment={"K": OLD})
    with pytest.raises(CredentialProblem, match="no credential is named other"):
        one.get("other")
    assert not one.is_slow("other")


def test_nothing_is_known_of_a_key_that_could_not_be_read_whole(tmp_path: Path) -> None:
    """A credential is both of its keys or none."""
    one = credentials(SecretSource(variable="K"), SecretSource(file=tmp_path / "none"), {"K": OLD})
    with pytest.raises(CredentialProblem):
        one.load_all()
    assert one.known_secrets() == ()
