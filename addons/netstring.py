"""Tagged netstrings (https://tnetstrings.info), as mitmproxy's flow files hold them.

mitmproxy's own writer collects four pieces for every value in a deque; a recording is written for every call,
and joining finished strings takes a third of its time. A test holds the two to the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

type Value = bool | int | float | str | bytes | Iterable[Value] | Mapping[str, Value] | None


class Dumped(bytes):
    """Bytes that are a tagged netstring already, to be put into a larger one as they are."""

    __slots__ = ()


def dumps(value: Value) -> bytes:
    """Raises TypeError for a value that has no form."""
    kind = type(value)
    if kind is bytes:
        return b"%d:%b," % (len(value), value)  # type: ignore[arg-type, str-format]
    if kind is str:
        text = value.encode()  # type: ignore[union-attr]
        return b"%d:%b;" % (len(text), text)
    if kind is Dumped:
        return value  # type: ignore[return-value]
    if value is None:
        return b"0:~"
    if kind is bool:
        return b"4:true!" if value else b"5:false!"
    if kind is int:
        text = str(value).encode()
        return b"%d:%b#" % (len(text), text)
    if kind is float:
        text = repr(value).encode()
        return b"%d:%b^" % (len(text), text)
    if kind is tuple or kind is list:
        text = b"".join([dumps(one) for one in value])  # type: ignore[union-attr]
        return b"%d:%b]" % (len(text), text)
    if kind is dict:
        text = b"".join([dumps(key) + dumps(one) for key, one in value.items()])  # type: ignore[union-attr]
        return b"%d:%b}" % (len(text), text)
    raise TypeError(f"no tagged netstring for {kind.__name__}")
