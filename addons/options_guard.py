"""The options of mitmproxy that the chain needs, and those that would break an invariant.

The gateway's own process never meets the second kind; stock `mitmdump -s addons/chain.py` may.
"""

from __future__ import annotations

import logging

from mitmproxy import ctx, exceptions

logger = logging.getLogger(__name__)

# Set by the chain, whatever was asked for.
REQUIRED: dict[str, object] = {
    "http2": False,  # the credential is added by the HTTP/1 serialiser; over HTTP/2 it would be lost
    "http3": False,
    "rawtcp": False,  # bytes that aren't HTTP are refused, not tunnelled
    "websocket": False,
    "connection_strategy": "lazy",  # eager dials before any decision
    "upstream_cert": False,
    "onboarding": False,
    "show_ignored_hosts": False,
    "flow_detail": 0,  # the dumper prints URLs and bodies
    "validate_inbound_headers": True,
}

# Refused at start: each would forward, store or show something that no stage has seen.
FORBIDDEN: dict[str, str] = {
    "allow_hosts": "other hosts would pass without any hook",
    "anticache": "it edits requests after they were decided on",
    "anticomp": "it edits requests after they were decided on",
    "client_replay": "replays go to the gateway from another process",
    "hardump": "it stores raw messages",
    "ignore_hosts": "those hosts would pass without any hook",
    "intercept": "anyone with mitmproxy's interface could resume a call",
    "keep_host_header": "the gateway is no reverse proxy",
    "map_local": "it answers after the decision",
    "map_remote": "it changes the destination after the decision",
    "modify_body": "it edits what was decided on",
    "modify_headers": "it edits what was decided on",
    "proxy_debug": "it logs raw messages",
    "proxyauth": "it keeps passwords in the flow; identity is ddgate's part",
    "rfile": "recordings are read elsewhere",
    "save_stream_file": "it stores raw messages",
    "server_replay": "it answers after the decision",
    "ssl_insecure": "the credential may only go to a verified Datadog host",
    "stickyauth": "it adds headers after the decision",
    "stickycookie": "it adds headers after the decision",
    "store_streamed_bodies": "nothing may be streamed past the decision",
    "stream_large_bodies": "the request would leave before it is decided on",
    "tcp_hosts": "those hosts would pass without any hook",
    "udp_hosts": "those hosts would pass without any hook",
    "upstream_auth": "the gateway has no upstream proxy",
}

_VIEWS = ("view", "webaddon", "console")


def problems() -> list[str]:
    """What stands in the way of serving, one line each, from mitmproxy's options as they are now."""
    found = []
    for name, why in FORBIDDEN.items():
        if name in ctx.options and ctx.options.__getattr__(name) != ctx.options.default(name):
            found.append(f"mitmproxy's option {name} can't be used with ddgate: {why}; leave it out")
    for name, value in REQUIRED.items():
        if name in ctx.options and ctx.options.__getattr__(name) != value:
            found.append(f"mitmproxy's option {name} must be {value!r} with ddgate; leave it out")
    modes = list(ctx.options.mode)
    if modes != ["regular"]:
        found.append(f"mitmproxy's mode must be regular with ddgate, not {', '.join(modes)}")
    scripts = list(ctx.options.scripts) if "scripts" in ctx.options else []
    if len(scripts) > 1:
        found.append("another script beside ddgate's chain can't be used: it would see raw messages")
    if any(ctx.master.addons.get(view) is not None for view in _VIEWS):
        found.append(
            "mitmproxy's own view holds raw messages; run the gateway without it and look at the recordings "
            "with `ddgate inspector`"
        )
    return found


def apply(settings: dict[str, object]) -> None:
    """Sets what the chain needs: the table above and the installation's own settings."""
    wanted = {**REQUIRED, **settings}
    ctx.options.update(**{name: value for name, value in wanted.items() if name in ctx.options})


class OptionsGuard:
    """Refuses to start with unsafe options. One that is set later is rolled back by mitmproxy, because
    `configure` raises; `problems` then still holds what was wrong when the gateway came up.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def configure(self, updated: set[str]) -> None:  # noqa: ARG002 - the hook's signature
        found = problems()
        if found:
            for line in found:
                logger.error(line)
            raise exceptions.OptionsError("\n".join(found))

    def running(self) -> None:
        self.problems = problems()
