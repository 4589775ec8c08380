"""One file with every certificate authority that the child needs.

Several of the variables that name such a file replace the system's roots instead of adding to them, so the
gateway's CA alone would break every other host.
"""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import certifi

# Variables that name a bundle the caller already relies on; the child's point at the combined one instead.
CALLERS_BUNDLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
)
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----")


class BadCaError(ValueError):
    """The gateway's CA can't be used; the text names the file and says what to do."""


@contextmanager
def combined_bundle(
    gateway_ca: Path, environment: Mapping[str, str], warn: Callable[[str], None]
) -> Iterator[Path]:
    """Make the bundle in a private directory and take both away at the end. Raises BadCaError and OSError."""
    content = bundle_content((gateway_ca,), environment, warn)
    with tempfile.TemporaryDirectory(prefix="ddgate-run-", ignore_cleanup_errors=True) as directory:
        path = Path(directory, "ca-bundle.pem")
        path.write_bytes(content)
        yield path


def bundle_content(
    gateway_cas: Sequence[Path], environment: Mapping[str, str], warn: Callable[[str], None]
) -> bytes:
    """System roots (certifi's where there are none), then the caller's own, then the gateway's; certificates
    only, whatever else is in those files. Raises BadCaError and OSError.
    """
    gateways = (certificate for path in gateway_cas for certificate in _gateway_roots(path))
    found = dict.fromkeys((*_system_roots(), *_callers_roots(environment, warn), *gateways))
    return b"".join(certificate + b"\n" for certificate in found)


def _gateway_roots(path: Path) -> tuple[bytes, ...]:
    try:
        found = _certificates(path.read_bytes())
    except OSError as error:
        text = f"the gateway's CA {path} can't be read ({error.strerror}); name its file with --ca"
        raise BadCaError(text) from None
    for certificate in found:
        try:
            ssl.create_default_context(cadata=certificate.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise BadCaError(f"the gateway's CA {path} has a certificate that can't be read") from None
    if not found:
        raise BadCaError(f"the gateway's CA {path} has no certificate in PEM form; name its file with --ca")
    return found


def _system_roots() -> tuple[bytes, ...]:
    # openssl_cafile is what OpenSSL was built with; `cafile` would follow SSL_CERT_FILE.
    for path in (ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_BUNDLES, certifi.where()):
        try:
            found = _certificates(Path(path).read_bytes())
        except OSError:
            continue
        if found:
            return found
    return ()


def _callers_roots(environment: Mapping[str, str], warn: Callable[[str], None]) -> Iterator[bytes]:
    for name in CALLERS_BUNDLES:
        if not (value := environment.get(name)):
            continue
        path = Path(value)
        try:
            # requests takes a directory too, as OpenSSL's c_rehash leaves it.
            is_file = not path.is_dir()
            for file in [path] if is_file else sorted(file for file in path.iterdir() if file.is_file()):
                yield from _certificates(file.read_bytes())
        except OSError as error:
            warn(f"{name}={value} can't be read ({error.strerror}); its certificates are left out")


def _certificates(data: bytes) -> tuple[bytes, ...]:
    return tuple(match.group().replace(b"\r\n", b"\n") for match in _CERTIFICATE.finditer(data))
