"""I1: an option of mitmproxy that would forward, store or show what no stage has seen stops the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import addons as builtin
from mitmproxy import exceptions
from mitmproxy.addons import dumper, intercept, readfile, view
from mitmproxy.test import taddons

from addons import options_guard
from addons.options_guard import FORBIDDEN, REQUIRED, OptionsGuard

CHANGED: dict[str, object] = {
    "anticache": True,
    "anticomp": True,
    "hardump": "x.har",
    "keep_host_header": True,
    "proxy_debug": True,
    "rfile": "x.mitm",
    "save_stream_file": "x.mitm",
    "ssl_insecure": True,
    "store_streamed_bodies": True,
    "stream_large_bodies": "1k",
    "intercept": "~all",
    "stickyauth": ".",
    "stickycookie": ".",
    "proxyauth": "a:b",
    "upstream_auth": "a:b",
}

# Judged, and left to the operator: they change no message, store nothing, and open no way around the chain.
HARMLESS = {
    *("add_upstream_certs_to_client_chain", "block_global", "block_list", "block_private", "body_size_limit"),
    *("cert_passphrase", "certs", "ciphers_client", "ciphers_server", "client_certs", "command_history"),
    *("client_replay_concurrency", "confdir", "connect_addr", "content_view_lines_cutoff"),
    *("dns_name_servers", "dns_use_hosts_file", "dumper_default_contentview", "dumper_filter"),
    *("export_preserve_original_ip", "http2_ping_keepalive", "http_connect_send_host_header"),
    *("intercept_active", "keep_alt_svc_header", "key_size", "listen_host", "listen_port", "mode"),
    *("normalize_outbound_headers", "onboarding_host", "protobuf_definitions", "readfile_filter"),
    *("request_client_cert", "save_stream_filter", "scripts", "server", "server_replay_extra"),
    *("server_replay_ignore_content", "server_replay_ignore_host", "server_replay_ignore_params"),
    *("server_replay_ignore_payload_params", "server_replay_ignore_port", "server_replay_kill_extra"),
    *("server_replay_nopop", "server_replay_refresh", "server_replay_reuse", "server_replay_use_headers"),
    *("showhost", "ssl_verify_upstream_trusted_ca", "ssl_verify_upstream_trusted_confdir", "strip_ech"),
    *("tcp_timeout", "tls_ecdh_curve_client", "tls_ecdh_curve_server", "tls_version_client_max"),
    *("tls_version_client_min", "tls_version_server_max", "tls_version_server_min"),
}


@pytest.fixture
def stock() -> Iterator[taddons.context]:
    """Every option that stock mitmproxy has, and none of its addons' reactions."""
    with taddons.context() as context:
        own = (dumper.Dumper(), intercept.Intercept(), readfile.ReadFile())  # of mitmdump and the console
        for addon in (*builtin.default_addons(), *own):
            if (load := getattr(addon, "load", None)) is not None:
                load(_Loader(context))
        options_guard.apply({})
        yield context


class _Loader:
    """Takes options, and leaves commands alone."""

    def __init__(self, context: taddons.context) -> None:
        self._options = context.options

    def add_option(self, name: str, *arguments: Any, **named: Any) -> None:
        if name not in self._options:
            named.update(zip(("typespec", "default", "help", "choices"), arguments, strict=False))
            self._options.add_option(
                name, named["typespec"], named["default"], named["help"], named.get("choices")
            )

    def add_command(self, *_: object) -> None:
        return


def test_the_settings_that_the_chain_makes_are_no_problem(stock: taddons.context) -> None:
    assert options_guard.problems() == []
    OptionsGuard().configure(set())


@pytest.mark.parametrize("name", FORBIDDEN)
def test_i1_each_forbidden_option_is_a_problem(stock: taddons.context, name: str) -> None:
    stock.options.update(**{name: CHANGED.get(name, ["a"])})
    (problem,) = options_guard.problems()
    assert f"option {name} " in problem
    assert "leave it out" in problem
    with pytest.raises(exceptions.OptionsError, match=name):
        OptionsGuard().configure({name})


@pytest.mark.parametrize("name", REQUIRED)
def test_i1_each_required_option_is_a_problem_when_it_differs(stock: taddons.context, name: str) -> None:
    value = REQUIRED[name]
    other = "eager" if name == "connection_strategy" else 1 if name == "flow_detail" else not value
    stock.options.update(**{name: other})
    (problem,) = options_guard.problems()
    assert f"option {name} must be {value!r}" in problem


def test_every_option_of_mitmproxy_is_judged_and_no_name_is_misspelt(stock: taddons.context) -> None:
    assert set(stock.options.keys()) == FORBIDDEN.keys() | REQUIRED.keys() | HARMLESS


@pytest.mark.parametrize(
    "mode", [["reverse:https://api.datadoghq.com"], ["transparent"], ["regular", "socks5"]]
)
def test_i1_another_mode_is_a_problem(stock: taddons.context, mode: list[str]) -> None:
    stock.options.update(mode=mode)
    (problem,) = options_guard.problems()
    assert mode[-1] in problem


def test_i1_a_second_script_is_a_problem(stock: taddons.context) -> None:
    assert "scripts" in stock.options
    stock.options.update(scripts=["addons/chain.py", "other.py"])
    (problem,) = options_guard.problems()
    assert "another script" in problem


def test_i1_a_view_beside_the_chain_is_a_problem_when_it_runs(stock: taddons.context) -> None:
    guard = OptionsGuard()
    guard.running()
    assert guard.problems == []
    stock.master.addons.add(view.View())
    guard.running()
    (problem,) = guard.problems
    assert "ddgate inspector" in problem
