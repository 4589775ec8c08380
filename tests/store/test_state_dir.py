from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from addons.store.state_dir import StateDir, StateDirUnusable, read_password


def modes(path: Path) -> dict[str, int]:
    return {str(found.relative_to(path)): stat.S_IMODE(found.stat().st_mode) for found in path.rglob("*")}


def test_everything_in_a_new_state_directory_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    state = StateDir.open(path)
    state.installation_key("masks")
    state.inspector_password()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert modes(path) == {
        "recordings": 0o700,
        "keys": 0o700,
        "keys/masks.key": 0o600,
        "inspector-password": 0o600,
    }


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o701])
def test_a_directory_open_to_others_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(StateDirUnusable, match=f"chmod 700 {path}"):
        StateDir.open(path)
    assert list(path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(StateDirUnusable, match="belongs to user 12345"):
        StateDir.open(path)


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("")
    with pytest.raises(StateDirUnusable, match="is a file"):
        StateDir.open(path)


def key_in_process(path: Path, start: object, found: multiprocessing.Queue[bytes]) -> None:
    start.wait()  # type: ignore[attr-defined]
    found.put(StateDir.open(path).installation_key("masks"))


def test_processes_that_race_for_a_key_get_the_same_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path, start, found = tmp_path / "state", context.Barrier(4), context.Queue()
    processes = [context.Process(target=key_in_process, args=(path, start, found)) for _ in range(4)]
    for process in processes:
        process.start()
    keys = {found.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert keys == {StateDir.open(path).installation_key("masks")}
    assert len(keys.pop()) == 32
    assert [entry.name for entry in (path / "keys").iterdir()] == ["masks.key"]


def test_two_keys_differ(state: StateDir) -> None:
    assert state.installation_key("one") != state.installation_key("two")


@pytest.mark.parametrize("name", ["", "../audit", "A", "a/b", "-a", "a" * 65])
def test_a_key_name_cant_leave_its_folder(state: StateDir, name: str) -> None:
    with pytest.raises(ValueError, match="not a key name"):
        state.installation_key(name)


def test_a_key_of_another_length_is_not_replaced(state: StateDir) -> None:
    path = state.keys / "masks.key"
    path.touch(mode=0o600)
    with pytest.raises(StateDirUnusable, match="holds 0 bytes"):
        state.installation_key("masks")
    assert path.read_bytes() == b""


@pytest.mark.parametrize("name", ["masks.key", "inspector-password"])
def test_a_secret_that_others_can_read_is_refused(state: StateDir, name: str) -> None:
    state.installation_key("masks")
    state.inspector_password()
    path = next(state.path.rglob(name))
    path.chmod(0o640)
    with pytest.raises(StateDirUnusable, match=f"chmod 600 {path}"):
        (
            state.inspector_password
            if name == "inspector-password"
            else lambda: state.installation_key("masks")
        )()


def test_a_link_doesnt_pass_for_a_key(state: StateDir, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"k" * 32)
    (tmp_path / "elsewhere").chmod(0o600)
    (state.keys / "masks.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirUnusable, match="can't be read"):
        state.installation_key("masks")


def test_the_inspector_password_stays_and_a_short_one_is_refused(state: StateDir) -> None:
    assert state.inspector_password() == state.inspector_password()
    assert len(state.inspector_password()) >= 32
    state.inspector_password_file.write_text("short\n")
    with pytest.raises(StateDirUnusable, match="at least 16 characters"):
        read_password(state.inspector_password_file)
