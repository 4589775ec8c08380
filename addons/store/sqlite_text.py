"""Text between SQLite and Python, where it is no text."""

from __future__ import annotations


def lenient_text(octets: bytes) -> str:
    """As a connection's `text_factory`: a damaged field is somebody's to report, and stops no transaction."""
    return octets.decode("utf-8", "replace")


def storable(text: str | None) -> str | None:
    """SQLite's text is UTF-8, which a lone surrogate is not; the body has it as a JSON escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def as_text(value: object) -> str:
    """What a column holds, whether the connection gives text or bytes."""
    return lenient_text(value) if isinstance(value, bytes) else str(value)
