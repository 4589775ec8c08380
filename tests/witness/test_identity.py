"""A witness is its key and its memory together; half of one is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from addons.core.transparency.signed_note import KeyAlgorithm
from addons.store.state_dir import StateDirUnusable
from addons.witness.identity import open_identity
from addons.witness.judging import Witness
from tests.witness.small_log import SmallLog

FILE = "witness.sqlite3"


def opened(directory: Path, name: str | None = None) -> str:
    identity = open_identity(directory, name)
    identity.memory.close()
    return identity.key.verifier.encode()


def cosigned(directory: Path) -> None:
    identity = open_identity(directory)
    log = SmallLog(size=3)
    assert Witness(identity.key, identity.memory, [log.key], lambda: 1.0).add_checkpoint(log.request(0))
    identity.memory.close()


def test_a_new_directory_gets_a_key_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "a"), opened(tmp_path / "b")
    assert one != two
    assert opened(tmp_path / "a") == one
    identity = open_identity(tmp_path / "a")
    assert identity.key.verifier.algorithm is KeyAlgorithm.COSIGNATURE
    identity.memory.close()


def test_everything_is_for_its_owner_alone(tmp_path: Path) -> None:
    opened(tmp_path / "w")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "w").rglob("*")}
    assert modes == {"keys": 0o700, "witness.key": 0o600, FILE: 0o600}
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o700


def test_a_name_is_given_once(tmp_path: Path) -> None:
    vkey = opened(tmp_path / "w", "example.com/witness")
    assert vkey.startswith("example.com/witness+")
    assert opened(tmp_path / "w") == opened(tmp_path / "w", "example.com/witness") == vkey
    with pytest.raises(StateDirUnusable, match=r"has the name example\.com/witness already"):
        opened(tmp_path / "w", "example.com/other")


@pytest.mark.parametrize("name", ["a b", "a+b", "a\nb", "\ud800"])
def test_what_can_not_stand_in_a_signature_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateDirUnusable, match="can't be a witness's name"):
        opened(tmp_path / "w", name)
    assert opened(tmp_path / "w", "good")


def test_a_key_without_its_memory_is_refused(tmp_path: Path) -> None:
    """It would cosign another past of the same log."""
    cosigned(tmp_path / "w")
    (tmp_path / "w" / FILE).unlink()
    with pytest.raises(StateDirUnusable, match="without its memory"):
        opened(tmp_path / "w")


def test_a_memory_without_its_key_is_refused(tmp_path: Path) -> None:
    cosigned(tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "keys")
    with pytest.raises(StateDirUnusable, match="has lost the key"):
        opened(tmp_path / "w")


def test_a_start_that_was_broken_off_is_gone_on_with(tmp_path: Path) -> None:
    opened(tmp_path / "w", "example.com/witness")
    shutil.rmtree(tmp_path / "w" / "keys")
    assert opened(tmp_path / "w").startswith("example.com/witness+")


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir(mode=0o755)
    with pytest.raises(StateDirUnusable, match="open to other users"):
        opened(tmp_path / "w")


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 4096])
def test_what_is_no_memory_is_refused(tmp_path: Path, content: bytes) -> None:
    opened(tmp_path / "w")
    (tmp_path / "w" / FILE).write_bytes(content)
    with pytest.raises(StateDirUnusable):
        opened(tmp_path / "w")
