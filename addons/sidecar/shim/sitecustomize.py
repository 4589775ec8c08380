# ruff: noqa: INP001 - no package: its directory stands on the agent's path, and this is what it is for
"""Gives Datadog's Python API clients the proxy, the CA and the credential of `ddgate run`.

They read no proxy variable: only `Configuration.proxy`, and the credential only from
`Configuration.proxy_headers` (a mapping for the synchronous client, the text `user:password` for the
asynchronous one). The interpreter imports this file at its start because `ddgate run` puts its directory
first on PYTHONPATH. It runs in the agent's interpreter, whichever that is: standard library alone, Python 3.8
and later, and nothing imported that a program without Datadog doesn't need.

What a program set itself stays. Should this file fail, the program runs on and its calls to Datadog fail: the
agent holds no key.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys

TYPE_CHECKING = False  # `typing` would cost every start of the agent
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

# Version 1 of the package had one `rest` module for each version of the API.
_TARGETS = frozenset(("datadog_api_client.rest", "datadog_api_client.v1.rest", "datadog_api_client.v2.rest"))
_HEADERS = 4  # the place of `headers` among the arguments of `request`
_LONGEST = 300
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs as typing does


class _Overlaid:
    """A client's Configuration with some values in place of it; the rest is read and written through."""

    def __init__(self, configuration: Any, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self.__dict__["_overlaid"] = configuration

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_overlaid"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_overlaid"], name, value)


def _overlay(configuration: Any, *, is_async: bool) -> _Overlaid:
    from base64 import b64encode  # noqa: PLC0415 - only programs that use Datadog pay for it
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    values: dict[str, Any] = {}
    parts = urlsplit(os.environ.get("DDGATE_RUN_PROXY", ""))
    if parts.hostname and not getattr(configuration, "proxy", None):
        login = f"{parts.username}:{parts.password}"
        basic = "Basic " + b64encode(login.encode()).decode()
        values["proxy"] = f"{parts.scheme}://{parts.hostname}:{parts.port}"
        values["proxy_headers"] = login if is_async else {"proxy-authorization": basic}
    bundle = os.environ.get("DDGATE_RUN_CA")
    if bundle and not getattr(configuration, "ssl_ca_cert", None):
        values["ssl_ca_cert"] = bundle
    return _Overlaid(configuration, values)


def _wrap(client: Any, *, is_async: bool) -> None:
    original = client.__init__

    def __init__(self: Any, configuration: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes that
        original(self, _overlay(configuration, is_async=is_async), *args, **kwargs)

    client.__init__ = __init__
    if not is_async and hasattr(client, "request"):
        _wrap_request(client)


def _wrap_request(client: Any) -> None:
    """Lets the gateway know how long a held call is waited for: this client has no limit of its own, and its
    name, which it shares with the asynchronous one, can't tell.
    """
    original = client.request

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) < _HEADERS:  # they are given by their name, as the package itself does
            headers = dict(kwargs.get("headers") or {})
            wait = _patience(kwargs.get("request_timeout"))
            if wait and "prefer" not in [str(name).lower() for name in headers]:
                kwargs["headers"] = dict(headers, Prefer=f"wait={wait}")  # RFC 7240 section 4.3
        return original(self, *args, **kwargs)

    client.request = request


def _patience(timeout: Any) -> int:
    """In whole seconds, with room for the answer's way back; 0 where it can't be told."""
    if isinstance(timeout, tuple) and timeout:
        timeout = timeout[-1]
    if timeout is None:
        return _LONGEST
    return min(int(timeout * 0.8), _LONGEST) if isinstance(timeout, (int, float)) else 0


def _patch(module: ModuleType) -> None:
    """Where the clients are built, not where they are configured: a program may set `proxy` until then."""
    for name, is_async in (("RESTClientObject", False), ("AsyncRESTClientObject", True)):
        client = getattr(module, name, None)
        if client is not None:
            _wrap(client, is_async=is_async)


def _tell(error: Exception) -> None:
    text = "ddgate run: Datadog's Python client can't be pointed at the gateway ({}); its calls will fail\n"
    sys.stderr.write(text.format(type(error).__name__))


class _Finder:
    """Stands first on sys.meta_path and only looks at the modules it patches."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        if name not in _TARGETS:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is cls or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                _patch_after_execution(spec)
                return spec
        return None


def _patch_after_execution(spec: Any) -> None:
    loader = spec.loader
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        try:
            _patch(module)
        except Exception as error:  # noqa: BLE001 - the agent's program must start; nothing is permitted by it
            _tell(error)

    loader.exec_module = exec_module


def _install() -> None:
    if not os.environ.get("DDGATE_RUN_PROXY"):
        return
    finder: Any = _Finder
    sys.meta_path.insert(0, finder)
    for name in _TARGETS:
        if name in sys.modules:  # a .pth file was earlier
            _patch(sys.modules[name])


def _run_next() -> None:
    """Run the sitecustomize that this one hides, ddtrace-run's for example, as if it were the only one."""
    places = [os.path.abspath(place) for place in sys.path]  # noqa: PTH100 - as above
    after = places[places.index(_HERE) + 1 :] if _HERE in places else places
    spec = importlib.machinery.PathFinder.find_spec(
        "sitecustomize", [place for place in after if place != _HERE]
    )
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _install()
except Exception as error:  # noqa: BLE001 - as in exec_module
    _tell(error)
_run_next()
