"""The gateway's own process: mitmproxy's core with the built-in addons that it needs, and the chain.

Stock mitmdump dispatches every hook to some thirty addons, most of which edit, store or replay flows; here
none of those exists.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys

from mitmproxy import exceptions, master, options
from mitmproxy.addons import core, errorcheck, next_layer, proxyserver, tlsconfig

from addons.chain import Chain
from addons.core.start_problems import GatewayProblem
from addons.dispatch import TabledAddons
from addons.lifecycle import Lifecycle
from addons.runtime import Runtime
from addons.upstream import listening_problem

logger = logging.getLogger("ddgate")

# Seconds. The journal's thread needs the interpreter for moments only, many times a commit; with Python's own
# 5 ms it would wait that long for each while the event loop is busy, and every call waits for the journal.
_SWITCH_INTERVAL = 0.0003
_COLLECT_AFTER = 20_000  # objects


class _TlsConfig(tlsconfig.TlsConfig):
    # Stock mitmproxy answers a request for its revocation list here, after the decision was made.
    request = None  # type: ignore[assignment]


async def _serve(runtime: Runtime) -> None:
    opts = options.Options()
    gateway = master.Master(opts)
    gateway.addons = addons = TabledAddons(gateway)
    chain = Chain(runtime)
    try:
        addons.add(
            core.Core(),
            proxyserver.Proxyserver(),
            next_layer.NextLayer(),
            _TlsConfig(),
            errorcheck.ErrorCheck(),
        )
        # Before TlsConfig, so that hosts with a CA of their own are served first.
        addons.insert(3, chain)
        opts.update(mode=["regular"])
    except exceptions.OptionsError as error:
        raise GatewayProblem(str(error)) from None
    lifecycle = next(addon for addon in chain.addons if isinstance(addon, Lifecycle))
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    async def stop() -> None:
        await lifecycle.drain(runtime.config.drain)
        gateway.shutdown()

    def on_signal() -> None:
        if stopping:
            gateway.shutdown()  # asked twice: at once
        else:
            stopping.append(loop.create_task(stop()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await gateway.run()


def serve(runtime: Runtime) -> None:
    """Runs until it is told to stop.

    Raises:
        GatewayProblem: the port is in use, or mitmproxy could not start.

    """
    listen = runtime.config.listen
    problem = listening_problem(listen.host, listen.port)
    if problem is not None:
        raise GatewayProblem(
            f"port {listen.port} on {listen.host} can't be used ({problem}); free it, or choose another with "
            "`listen: {port: …}` in ddgate.yaml or DDGATE__LISTEN__PORT"
        )
    sys.setswitchinterval(_SWITCH_INTERVAL)
    # What was loaded for the start stays for good; the collector need not walk it again for every few calls.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    asyncio.run(_serve(runtime))
