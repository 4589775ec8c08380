"""mitmweb without a proxy: a view, the pages that show it, and the feed that fills it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import tornado.httpserver
import tornado.netutil
from mitmproxy import flow, log, options
from mitmproxy import master as mitmproxy_master
from mitmproxy.addons import core, eventstore, view
from mitmproxy.tools.web import app as mitmweb

from addons.inspector.feed import Feed, FeedLimits
from addons.inspector.web import InspectorApplication
from addons.store.recordings.sealing import NO_KEYS, SealKeys

_log = logging.getLogger(__name__)

_LARGEST_REQUEST = 1024 * 1024  # nothing is uploaded


class InspectorMaster(mitmproxy_master.Master):
    """Holds what mitmweb's handlers expect of their master: `view` and `events`.

    There is no proxy server, script loader, playback or saving among its addons, so no option or command of
    theirs exists. Make it in a running event loop.
    """

    def __init__(self, recordings: Path, password: str, limits: FeedLimits, keys: SealKeys = NO_KEYS) -> None:
        super().__init__(options.Options(), with_termlog=False)
        self.view = view.View()
        self.view.sig_view_add.connect(self._added)
        self.view.sig_view_update.connect(self._updated)
        self.view.sig_view_remove.connect(self._removed)
        self.view.sig_view_refresh.connect(self._refreshed)
        self.events = eventstore.EventStore()
        self.events.sig_add.connect(self._logged)
        self.addons.add(core.Core(), self.view, self.events)
        self.app = InspectorApplication(self, password)
        self._feed = Feed(recordings, self.view, limits, keys)
        self._server = tornado.httpserver.HTTPServer(self.app, max_buffer_size=_LARGEST_REQUEST)

    def listen(self, host: str, port: int) -> int:
        """Bind; `port` 0 takes a free one. Return the port. Raises OSError."""
        sockets = tornado.netutil.bind_sockets(port, host)
        self._server.add_sockets(sockets)
        return int(sockets[0].getsockname()[1])

    async def serve(self) -> None:
        """Feed the view until `shutdown` is called."""
        feed = asyncio.create_task(self._feed.run(), name="feed")
        stop = asyncio.create_task(self.should_exit.wait(), name="stop")
        try:
            await asyncio.wait((feed, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            feed.cancel()
            self._server.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await feed  # an unexpected end is an error of ours, and shows as one

    def _added(self, flow: flow.Flow) -> None:
        mitmweb.ClientConnection.broadcast_flow("flows/add", flow)

    def _updated(self, flow: flow.Flow) -> None:
        mitmweb.ClientConnection.broadcast_flow("flows/update", flow)

    def _removed(self, flow: flow.Flow, index: int) -> None:  # noqa: ARG002 - the signal's form
        mitmweb.ClientConnection.broadcast(type="flows/remove", payload=flow.id)

    def _refreshed(self) -> None:
        mitmweb.ClientConnection.broadcast_flow_reset()

    def _logged(self, entry: log.LogEntry) -> None:
        mitmweb.ClientConnection.broadcast(type="events/add", payload=mitmweb.logentry_to_json(entry))
