"""Feeds what masks messages with bytes mutated towards new branches of it (libFuzzer, by atheris).

`python -m tests.long.redaction_fuzz [DIRECTORY] [-max_total_time=SECONDS …]` goes on until the time is up, or
one input breaks a promise: that is kept in a file `crash-…`, and running with that file's name repeats it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import atheris
import msgpack

with atheris.instrument_imports(include=["addons.core.redact", "addons.core.body"]):
    from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
    from addons.core.redact.binary.protobuf_reader import fields_of
    from addons.core.redact.masking.findings import TooComplex
    from addons.core.redact.masking.mask import Masker
    from addons.core.redact.scrubber import Scrubbed, Scrubber

from tests.core.redact.planted import GITHUB, LAYERS, SECRETS, field, form_data
from tests.core.redact.test_forms import CLEAN, DIRTY, data_of
from tests.long.core_property import linear
from tests.long.core_redaction import assert_same_shape

MEDIA = [
    *("application/json", "application/x-ndjson", "text/plain", "text/event-stream", ""),
    *("application/msgpack", "application/x-protobuf", "multipart/form-data; boundary=BB"),
    "application/x-www-form-urlencoded",
    *("application/octet-stream", "text/plain; charset=utf-16", "application/json; charset=utf-32-be"),
]  # fmt: skip
_CODINGS = ["gzip", "deflate", "br", "zstd", "zstd1", "gzip, zstd"]
_LIMIT = 1 << 20
_SECONDS_PER_MIB = 60.0  # instrumented, of the worst kind; without instruments it is less than half
_MASKER = Masker(b"k" * 16)
_SCRUBBERS = (Scrubber(_MASKER), Scrubber(_MASKER, pii=True))
# What stands for a secret in a whole line is found whatever stands in other lines.
_PLANTED = b"\n" + GITHUB.encode() + b"\n"


def one_input(data: bytes) -> None:
    """The first byte says how the rest is fed."""
    how, rest = data[0] if data else 0, data[1:]
    way = how % 4
    if way == 0:
        _decode(rest, _CODINGS[how // 4 % len(_CODINGS)])
    elif way == 1:
        _head(rest)
    else:
        _body(rest, MEDIA[how // 4 % len(MEDIA)], _SCRUBBERS[way - 2])


def _decode(raw: bytes, coding: str) -> None:
    with (
        linear(len(raw) + _LIMIT, seconds_per_mib=10),
        contextlib.suppress(UndecodableBody, BodyTooLarge),
    ):
        assert len(decode_body(raw, coding, limit=_LIMIT)) <= _LIMIT


def _head(raw: bytes) -> None:
    name, _, value = raw.partition(b":")
    with linear(len(raw), seconds_per_mib=_SECONDS_PER_MIB), contextlib.suppress(TooComplex):
        _SCRUBBERS[1].scrub_headers([(name, value)])
        _SCRUBBERS[0].scrub_url(raw.decode("latin-1"))


def _body(raw: bytes, media: str, scrubber: Scrubber) -> None:
    with linear(len(raw), seconds_per_mib=_SECONDS_PER_MIB):
        try:
            done = scrubber.scrub_body(raw, media)
        except TooComplex:
            return
    assert done.changed == (done.data != raw)
    assert bool(done.findings) == done.changed
    if not done.changed:
        assert done.data is raw
    if done.changed and media == MEDIA[0]:
        _same_json(raw, done)
    elif done.changed and media == "application/msgpack":
        _same_msgpack(raw, done)
    elif done.changed and media == "application/x-protobuf" and fields_of(raw, 0, len(raw)) is not None:
        assert fields_of(done.data, 0, len(done.data)) is not None
    if media == "text/plain":
        with contextlib.suppress(TooComplex):
            assert GITHUB.encode() not in scrubber.scrub_body(raw + _PLANTED, media).data


def _same_json(raw: bytes, done: Scrubbed) -> None:
    try:
        before = json.loads(raw.decode())
    except (ValueError, RecursionError):
        return
    assert_same_shape(before, json.loads(done.data))


def _same_msgpack(raw: bytes, done: Scrubbed) -> None:
    try:
        msgpack.unpackb(raw, strict_map_key=False, raw=True)
    except (ValueError, msgpack.UnpackException, TypeError):
        return
    msgpack.unpackb(done.data, strict_map_key=False, raw=True)


def seeds() -> Iterator[bytes]:
    """Inputs to begin with: every form, dirty and clean, and every layer."""
    for body, media in [*((body, media) for body, media, _ in DIRTY.values()), *CLEAN.values()]:
        place = MEDIA.index(media) if media in MEDIA else 4
        yield bytes([place * 4 + 2]) + data_of(body)
    for secret in SECRETS:
        for layer in LAYERS.values():
            yield bytes([2]) + json.dumps({"m": layer(secret)}).encode()
        yield bytes([6 * 4 + 3]) + field(1, field(2, secret))
        yield bytes([7 * 4 + 2]) + form_data(('name="a"', secret))
        yield bytes([1]) + f"cookie: a={secret}; b=c".encode()


def words() -> Iterator[str]:
    """A dictionary of libFuzzer's: what the grammar of messages is made of."""
    made = [
        "password=",
        '"token":',
        "Bearer ",
        "%25",
        "\\\\u0070",
        "data: ",
        "--BB",
        "[REDACTED:",
        "eyJ",
        GITHUB,
    ]
    for number, word in enumerate(
        [*made, "name", "value", "\\x1f\\x8b\\x08", "\\x28\\xb5\\x2f\\xfd", "\\xff\\xfe"]
    ):
        yield f'w{number}="' + (word if "\\x" in word else word.replace('"', '\\"')) + '"'


def main() -> None:
    arguments = [sys.argv[0]]
    for argument in sys.argv[1:]:
        directory = Path(argument)
        if directory.is_dir():
            for number, seed in enumerate(seeds()):
                (directory / f"seed-{number}").write_bytes(seed)
            listed = directory.parent / "words"
            listed.write_text("\n".join(words()) + "\n")
            arguments.append(f"-dict={listed}")
        arguments.append(argument)
    for scrubber in _SCRUBBERS:  # what is compiled once is no input's cost
        scrubber.scrub_body(b"all is well " * (1 << 17), "text/plain")
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
