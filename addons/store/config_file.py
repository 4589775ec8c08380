"""Reads `ddgate.yaml` and looks at every file that it names, so that what is wrong shows at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from addons.core import yaml_source
from addons.core.config import Config, Listen, Secret, read_source, sandbox_problems
from addons.core.config_approvals import Control, Login, Notify
from addons.core.config_sections import Recordings, is_sandbox_issuer
from addons.core.yaml_form import validate
from addons.core.yaml_source import Position, Problem, ProblemsError, Source

SANDBOX_CA_NAME = "ddgate sandbox CA"
"""Common name of the CA that signs for the sandbox's Datadog stand-in, and for nothing real."""

_MAX_FILE = 4 * 1024 * 1024
_KEY_THERE = "put the key there, alone"
_SECRET_THERE = "put the secret there, alone"  # noqa: S105 - what to do, not a password


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration whose files are there; its paths are relative to `base_dir`.

    `source` knows where each key stands.
    """

    config: Config
    base_dir: Path
    source: Source

    def resolve(self, path: str) -> Path:
        return self.base_dir / path


def read_config(path: Path, environment: Mapping[str, str]) -> LoadedConfig:
    """Read the file at `path` under the `DDGATE__…` variables of `environment`.

    Raises:
        ProblemsError: with every problem of the text, or, where the text is well, of the files it names.

    """
    loaded = parse_config(path, environment)
    inspection = _Inspection(loaded, environment)
    inspection.look()
    if inspection.problems:
        raise ProblemsError(inspection.problems)
    return loaded


def parse_config(path: Path, environment: Mapping[str, str]) -> LoadedConfig:
    """As `read_config`, without a look at the files that it names."""
    source = read_source(read_text(path, Position(str(path)), "create it"), str(path), environment)
    return LoadedConfig(validate(Config, source), path.absolute().parent, source)


def read_text(path: Path, position: Position, remedy: str) -> str:
    """Read UTF-8 text. Raises ProblemsError, at `position`: missing, unreadable, too large, not UTF-8."""
    try:
        return _read(path).decode()
    except _UnreadableError as error:
        raise ProblemsError([Problem(position, f"{path}: {error}", remedy)]) from None
    except UnicodeDecodeError as error:
        raise ProblemsError([Problem(position, f"{path}: not UTF-8, at byte {error.start}")]) from None


class _UnreadableError(Exception):
    pass


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        raise _UnreadableError("no such file") from None
    except OSError as error:
        raise _UnreadableError(error.strerror or "not readable") from None
    except ValueError:  # a NUL in the name
        raise _UnreadableError("not the name of a file") from None
    if len(content) > _MAX_FILE:
        raise _UnreadableError("larger than 4 MiB")
    return content


def _refuse_pipe(path: Path) -> None:
    """Of a named pipe that nobody writes to the start would wait for ever; and files are read twice."""
    try:
        is_pipe = path.is_fifo()
    except (OSError, ValueError):
        return  # told by whoever reads it
    if is_pipe:
        raise _UnreadableError("a named pipe, not a file")


class _Inspection:
    """Looks at each file that a configuration names, and gathers the problems."""

    def __init__(self, loaded: LoadedConfig, environment: Mapping[str, str]) -> None:
        self._loaded, self._environment = loaded, environment
        self.problems: list[Problem] = []

    def look(self) -> None:
        config = self._loaded.config
        certs = self._loaded.resolve(config.certs)
        if certs.exists() and not certs.is_dir():
            self._add(
                ("certs",), f"{certs}: not a directory", "name a directory, or one that isn't there yet"
            )
        named: list[tuple[yaml_source.Path, str]] = [
            (("policy", index), name) for index, name in enumerate(config.policy)
        ]
        detectors = config.redaction.detectors
        named += [(("redaction", "detectors", index), name) for index, name in enumerate(detectors)]
        for path, name in named:
            self._content(path, name, "paths are relative to this file")
        if config.listen.tls is not None:
            self._listener(config.listen)
        for index, issuer in enumerate(config.issuers):
            if issuer.ca is not None:
                self._bundle(("issuers", index, "ca"), issuer.ca)
        self.problems += sandbox_problems(config, self._is_sandbox_ca, self._loaded.source.at)
        for host, route in config.upstream.connect_to.items():
            if route.ca is not None:
                self._bundle(("upstream", "connect_to", host, "ca"), route.ca)
        for name, credential in config.credentials.items():
            self._secret(("credentials", name, "api_key"), credential.api_key)
            if credential.application_key is not None:
                self._secret(("credentials", name, "application_key"), credential.application_key)
        self._recordings(config.recordings)
        self._control(config.control)

    def _recordings(self, recordings: Recordings) -> None:
        if recordings.encryption_key is not None:
            self._secret(("recordings", "encryption_key"), recordings.encryption_key, _SECRET_THERE)
        for index, old in enumerate(recordings.old_encryption_keys):
            self._secret(("recordings", "old_encryption_keys", index), old, _SECRET_THERE)

    def _control(self, control: Control) -> None:
        if control.login is not None:
            self._login(control.login)
        for index, receiver in enumerate(control.notify):
            self._receiver(("control", "notify", index), receiver)

    def _login(self, login: Login) -> None:
        path: yaml_source.Path = ("control", "login")
        if login.ca is not None:
            self._bundle((*path, "ca"), login.ca)
        if login.client_secret is not None:
            self._secret((*path, "client_secret"), login.client_secret, _SECRET_THERE)
        issuers = self._loaded.config.issuers
        agents = {issuer.audience for issuer in issuers}
        for name, audience in (("audience", login.audience), ("client_id", login.client_id)):
            if audience in agents:
                self._add(
                    (*path, name),
                    "the same as the audience of agents' tokens, so that an agent could pass for a person",
                    "give people's tokens an audience of their own, for example ddgate-control",
                )
        if is_sandbox_issuer(login.issuer) and not any(issuer.is_sandbox for issuer in issuers):
            self._add(
                (*path, "issuer"),
                "a sandbox issuer, where anybody can log in as anybody, and real identities of agents",
                "name the issuer that people of your organisation log in with",
            )

    def _receiver(self, path: yaml_source.Path, receiver: Notify) -> None:
        self._secret((*path, "url"), receiver.url, "put the URL there, alone")
        if receiver.secret is not None:
            self._secret((*path, "secret"), receiver.secret, _SECRET_THERE)
        if receiver.ca is not None:
            self._bundle((*path, "ca"), receiver.ca)

    def _listener(self, listen: Listen) -> None:
        if listen.tls is None:
            return
        path: yaml_source.Path = ("listen", "tls")
        chain = self._bundle((*path, "certificate"), listen.tls.certificate)
        pem = self._content((*path, "key"), listen.tls.key, "make it readable for the gateway")
        if pem is None:
            return
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            self._add((*path, "key"), f"{listen.tls.key}: no PEM private key", "one without a passphrase")
            return
        if chain is not None and key.public_key() != chain[0].public_key():
            message = f"{listen.tls.key}: not the key of the first certificate in {listen.tls.certificate}"
            self._add(
                (*path, "key"), message, "name the pair; the certificate comes before its intermediates"
            )

    def _bundle(self, path: yaml_source.Path, name: str) -> list[x509.Certificate] | None:
        pem = self._content(path, name, "paths are relative to this file")
        if pem is None:
            return None
        try:
            return x509.load_pem_x509_certificates(pem)
        except ValueError:
            self._add(
                path, f"{name}: no PEM certificates", "text that begins with -----BEGIN CERTIFICATE-----"
            )
            return None

    def _is_sandbox_ca(self, name: str) -> bool:
        """Tell whether the sandbox's CA is in a bundle; what can't be read is told of elsewhere."""
        try:
            chain = x509.load_pem_x509_certificates(_read(self._loaded.resolve(name)))
        except (_UnreadableError, ValueError):
            return False
        names = [each for one in chain for each in one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return any(each.value == SANDBOX_CA_NAME for each in names)

    def _secret(self, path: yaml_source.Path, secret: Secret, remedy: str = _KEY_THERE) -> None:
        if secret.file is not None:
            content = self._content((*path, "file"), secret.file, remedy)
            if content is not None and not content.strip():
                self._add((*path, "file"), f"{secret.file}: empty", remedy)
        elif secret.env is not None and not self._environment.get(secret.env, "").strip():
            self._add((*path, "env"), f"the environment variable {secret.env} is not set", remedy)

    def _content(self, path: yaml_source.Path, name: str, remedy: str) -> bytes | None:
        try:
            _refuse_pipe(self._loaded.resolve(name))
            return _read(self._loaded.resolve(name))
        except _UnreadableError as error:
            self._add(path, f"{self._loaded.resolve(name)}: {error}", remedy)
            return None

    def _add(self, path: yaml_source.Path, message: str, remedy: str) -> None:
        self.problems.append(Problem(self._loaded.source.at(path), message, remedy))
