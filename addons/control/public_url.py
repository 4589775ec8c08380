"""Where people reach control, and what follows from it: its origin, and its cookies' names."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """`origin` as browsers write it (RFC 6454 section 6.2): no path, no default port, lower case."""

    origin: str

    @staticmethod
    def of(url: str) -> PublicUrl:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        default = 443 if parts.scheme == "https" else 80
        port = "" if parts.port in {None, default} else f":{parts.port}"
        return PublicUrl(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}")

    @property
    def is_https(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def hosts(self) -> tuple[str, ...]:
        """How it may stand in the Host header: a default port is often left out, and not by all."""
        host = self.origin.partition("://")[2]
        has_port = host.rpartition(":")[2].isdigit() and not host.endswith("]")
        return (host,) if has_port else (host, f"{host}:{443 if self.is_https else 80}")

    @property
    def session_cookie(self) -> str:
        """`__Host-` keeps other hosts of the same domain from setting it (RFC 6265bis section 4.1.3.2)."""
        return "__Host-ddgate-session" if self.is_https else "ddgate-session"

    @property
    def login_cookie(self) -> str:
        """Of a login that isn't complete."""
        return "__Host-ddgate-login" if self.is_https else "ddgate-login"
