"""Sealed recordings: nothing readable on the disk, and everything readable with the key."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.config import Config, load_config
from addons.core.seal import parse_key
from addons.core.yaml_source import ProblemsError
from addons.store.config_file import read_config
from addons.store.credentials import CredentialProblem
from addons.store.policy.files import read_catalogue
from addons.store.recordings.flows import Recordings, find_recordings
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.sealing import NO_KEYS, Sealer, SealKeys, keys_of, sealer_of
from addons.store.recordings.segment_reader import FlowSealed, SegmentDamaged, SegmentFollower, read_flow
from addons.store.recordings.segments import SegmentLimits, SegmentWriter, recover_segments
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir
from tests.recorded_calls import CallMaker, MadeCall

LIMITS = SegmentLimits(min_free_bytes=0)
NEW, OLD = parse_key(b"0a" * 32), parse_key(b"0b" * 32)
KEYS = SealKeys.of([NEW, OLD])


def sealed(directory: Path, flows: list[bytes], key: Sealer | None = None) -> SegmentWriter:
    writer = SegmentWriter(directory, LIMITS, key or Sealer(NEW))
    for flow in flows:
        writer.append(flow)
    return writer


_kept: list[bytes] = []


def flows() -> list[bytes]:
    if not _kept:
        maker = CallMaker(read_catalogue())
        _kept.extend(maker.serialised(MadeCall("GET", f"/api/v1/monitor/{n}"))[1] for n in range(3))
    return _kept


def test_the_reference_is_of_the_flow_and_the_file_holds_none_of_it(state: StateDir) -> None:
    writer = SegmentWriter(state.recordings, LIMITS, Sealer(NEW))
    refs = [writer.append(flow) for flow in flows()]
    for _ in range(2):
        for flow, ref in zip(flows(), refs, strict=True):
            assert ref.segment.endswith(".sealed")
            assert ref.sha256 == hashlib.sha256(flow).hexdigest()
            assert read_flow(state.recordings, ref, KEYS) == flow
            with pytest.raises(FlowSealed, match=NEW.id.hex()):
                read_flow(state.recordings, ref)
        writer.rotate()
    (path,) = state.recordings.iterdir()
    assert path.name == refs[0].segment
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(word not in path.read_bytes() for word in (b"monitor", b"datadoghq", b"ddgate."))


def test_every_reader_reads_them_and_plain_ones_beside(state: StateDir) -> None:
    plain, old, new = flows()
    writer = SegmentWriter(state.recordings, LIMITS)
    writer.append(plain)
    writer.rotate()
    sealed(state.recordings, [old], Sealer(OLD)).rotate()
    still_open = sealed(state.recordings, [new])
    follower = SegmentFollower(state.recordings, keys=KEYS)
    assert sorted(follower.poll(10)) == sorted(flows())
    assert follower.problems == []
    recordings = Recordings(find_recordings([state.path]), keys=KEYS)
    assert sorted(stored.data for stored in recordings.flows()) == sorted(flows())
    assert recordings.damage == []
    index = RecordingIndex.open(state, keys=KEYS)
    entries = list(index.select(Selection(), oldest_first=True))
    assert sorted(entry.path for entry in entries) == [f"/api/v1/monitor/{n}" for n in range(3)]
    assert all(read_flow(state.recordings, entry.ref, KEYS) in flows() for entry in entries)
    assert index.unread() == []
    index.close()
    still_open.rotate()


def test_without_the_key_each_reader_says_which_one_is_missing(state: StateDir) -> None:
    sealed(state.recordings, flows()).rotate()
    follower = SegmentFollower(state.recordings)
    assert follower.poll(10) == []
    recordings = Recordings(find_recordings([state.path]), keys=SealKeys.of([OLD]))
    assert list(recordings.flows()) == []
    index = RecordingIndex.open(state)
    assert list(index.select(Selection())) == []
    for problems in (follower.problems, recordings.damage, index.unread()):
        (problem,) = [str(each) for each in problems]
        assert f"sealed with key {NEW.id.hex()}, which is not held" in problem
    index.close()


def test_with_the_key_at_last_the_index_reads_what_it_left_out(state: StateDir) -> None:
    sealed(state.recordings, flows()).rotate()
    RecordingIndex.open(state, keys=NO_KEYS).close()
    index = RecordingIndex.open(state, keys=KEYS)
    assert (index.counts(), index.unread()) == ((3, 1), [])
    index.close()


def test_a_flow_that_was_changed_or_moved_is_reported_and_the_others_read(state: StateDir) -> None:
    writer = SegmentWriter(state.recordings, LIMITS, Sealer(NEW))
    refs = [writer.append(flow) for flow in flows()]
    writer.rotate()
    path = state.recordings / refs[0].segment
    data = bytearray(path.read_bytes())
    data[refs[1].offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(SegmentDamaged, match="changed or moved"):
        read_flow(state.recordings, refs[1], KEYS)
    recordings = Recordings([path], keys=KEYS)
    assert [stored.data for stored in recordings.flows()] == [flows()[0], flows()[2]]
    (damage,) = recordings.damage
    assert damage.offset == refs[1].offset
    index = RecordingIndex.open(state, keys=KEYS)
    assert index.counts() == (2, 1)
    assert [each.offset for each in index.unread()] == [refs[1].offset]
    index.close()
    path.rename(path.with_name("elsewhere.sealed"))
    assert list(Recordings([path.with_name("elsewhere.sealed")], keys=KEYS).flows()) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_end_costs_at_most_the_flow_being_written(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as made_here:
        directory = Path(made_here)
        writer = SegmentWriter(directory, LIMITS, Sealer(NEW))
        refs = [writer.append(flow) for flow in flows()]
        (path,) = directory.iterdir()
        whole = path.read_bytes()
        writer.rotate()
        (directory / refs[0].segment).unlink()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        held = [ref for ref in refs if ref.offset + ref.length <= cut]
        assert SegmentFollower(directory, keys=KEYS).poll(10) == flows()[: len(held)]
        (recovered,) = recover_segments(directory)
        assert recovered.segment == refs[0].segment
        assert recovered.kept == (held[-1].offset + held[-1].length if held else 0)
        assert recovered.kept + recovered.torn == cut
        assert [read_flow(directory, ref, KEYS) for ref in held] == flows()[: len(held)]


def config(recordings: str) -> Config:
    return load_config(
        "version: 1\nissuers: [{issuer: 'https://issuer.example', audience: ddgate}]\n"
        f"credentials: {{default: {{api_key: {{file: key}}}}}}\nrecordings: {recordings}\n",
        "ddgate.yaml",
        {},
    )


def test_keys_come_from_files_commands_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("0a" * 32 + "\n")
    wanted = config(
        "{encryption_key: {file: new}, old_encryption_keys: [{command: [echo, "
        + "0b" * 32
        + "]}, {env: OLDEST}]}"
    )
    environment = {**os.environ, "OLDEST": "0c" * 32}
    sealer = sealer_of(wanted, tmp_path, environment)
    assert sealer == Sealer(NEW)
    keys = keys_of(wanted, tmp_path, environment)
    for key in (NEW, OLD, parse_key(b"0c" * 32)):
        assert keys.unseal("x.sealed", 3, Sealer(key).seal("x.sealed", 3, b"flow")) == b"flow"
    assert sealer_of(config("{}"), tmp_path, {}) is None


def test_a_source_that_is_missing_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0" * 32)
    (tmp_path / "policies").mkdir()
    path = tmp_path / "ddgate.yaml"
    path.write_text(
        "version: 1\nissuers: [{issuer: 'https://issuer.example', audience: ddgate}]\n"
        "credentials: {default: {api_key: {file: key}}}\npolicy: [key]\n"
        "recordings:\n  encryption_key:\n    file: gone\n  old_encryption_keys:\n    - env: NOT_SET\n"
    )
    with pytest.raises(ProblemsError) as caught:
        read_config(path, {})
    assert "ddgate.yaml:7" in str(caught.value)
    assert "the environment variable NOT_SET is not set" in str(caught.value)
    with pytest.raises(ProblemsError, match="never stands in the configuration itself"):
        config("{encryption_key: " + "0a" * 32 + "}")


def test_a_key_that_is_none_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("planted-secret")
    with pytest.raises(CredentialProblem) as caught:
        sealer_of(config("{encryption_key: {file: new}}"), tmp_path, {})
    assert "openssl rand -hex 32" in str(caught.value)
    assert "planted" not in str(caught.value)
    with pytest.raises(CredentialProblem, match="can't be read"):
        keys_of(config("{old_encryption_keys: [{file: gone}]}"), tmp_path, {})
