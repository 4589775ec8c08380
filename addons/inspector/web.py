"""mitmweb's pages for looking, and nothing else.

mitmweb's own API can load scripts, set options, run commands and edit or replay flows; whoever has its
password administrates the machine. Here the handlers are an explicit list of those that read. What the page
would ask for besides is answered with 403; what nobody asks for, with 404.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tornado.httputil
import tornado.web
from mitmproxy import contentviews, version
from mitmproxy.tools.web import app as mitmweb

if TYPE_CHECKING:
    from addons.inspector.master import InspectorMaster

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})

# The page replaces its own defaults with what GET /options says, and can't draw its table without these.
_PAGE_SETTINGS = {
    "web_columns": {"value": ["icon", "comment", "method", "path", "status", "size", "time"]},
    "content_view_lines_cutoff": {"value": 512},
    "intercept": {"value": None},
}


class Refused(mitmweb.RequestHandler):
    """Answers every method with 403, and to those without the password nothing else either."""

    def get(self, **_: str) -> None:
        self.set_status(403)
        self.write({"error": "The inspector only shows recordings."})

    post = put = delete = patch = get

    def check_xsrf_cookie(self) -> None:
        """Allow the request as far as its refusal, so that a missing token isn't what it is told."""


class Options(Refused):
    """No options are shown or set. The refusal carries what the page needs for its table, constants all."""

    def get(self, **_: str) -> None:
        self.set_status(403)
        self.write(_PAGE_SETTINGS)


class FlowContent(mitmweb.FlowContent):
    """Downloading a body; not replacing it."""

    post = Refused.get  # type: ignore[assignment]  # mitmweb's own takes the body's new content


class State(mitmweb.RequestHandler):
    """What the page wants to know of its server: there is no proxy in this process."""

    def get(self) -> None:
        self.write(
            {
                "version": version.VERSION,
                "contentViews": [name for name in contentviews.registry.available_views() if name != "query"],
                "servers": {},
                "platform": "",
                "localModeUnavailable": "the inspector has no proxy",
            }
        )


class ForeignHost(tornado.web.RequestHandler):
    """A page of another site that had its name resolve to loopback (DNS rebinding) ends here."""

    def prepare(self) -> None:
        self.set_status(421)
        self.finish("The inspector answers on its loopback address only.")

    def check_xsrf_cookie(self) -> None:
        """Allow it as far as its refusal."""


_FLOW = r"/flows/(?P<flow_id>[0-9a-f\-]+)"
_MESSAGE = _FLOW + r"/(?P<message>request|response|messages)"

_HANDLERS = [
    (r"/", mitmweb.IndexHandler),
    (r"/filter-help(?:\.json)?", mitmweb.FilterHelp),
    (r"/updates", mitmweb.ClientConnection),
    (r"/events(?:\.json)?", mitmweb.Events),
    (r"/flows(?:\.json)?", mitmweb.Flows),
    (_MESSAGE + r"/content.data", FlowContent),
    (_MESSAGE + r"/content/(?P<content_view>[0-9a-zA-Z\-\_%]+)(?:\.json)?", mitmweb.FlowContentView),
    (r"/state(?:\.json)?", State),
    (r"/options(?:\.json)?", Options),
    (r"/options/.*", Refused),
    (r"/commands.*", Refused),
    (r"/flows/(?:dump|resume|kill)", Refused),
    (_FLOW, Refused),
    (_FLOW + r"/(?:resume|kill|duplicate|replay|revert)", Refused),
    (r"/(?:clear|processes|executable-icon)", Refused),
]


class InspectorApplication(tornado.web.Application):
    """The pages of one inspector. mitmweb's handlers find its view through `master`."""

    def __init__(self, master: InspectorMaster, password: str) -> None:
        self.master = master
        folder = Path(mitmweb.__file__).parent

        def is_valid_password(unverified_password: str) -> bool:
            # As bytes: comparing text of other than ASCII raises.
            return hmac.compare_digest(unverified_password.encode(errors="replace"), password.encode())

        super().__init__(
            handlers=_HANDLERS,
            template_path=str(folder / "templates"),
            static_path=str(folder / "static"),
            xsrf_cookies=True,
            xsrf_cookie_name="_ddgate_inspector_xsrf",
            xsrf_cookie_kwargs={"samesite": "Strict"},
            cookie_secret=secrets.token_bytes(32),
            debug=False,
            autoreload=False,
            transforms=[mitmweb.GZipContentAndFlowFiles],
            is_valid_password=is_valid_password,
            auth_cookie_name=lambda: "ddgate-inspector",
            # Tornado logs addresses of refused requests, and `?token=` is part of one.
            log_function=lambda _: None,
            compiled_template_cache=False,
        )

    def find_handler(
        self, request: tornado.httputil.HTTPServerRequest, **kwargs: Any
    ) -> tornado.web._HandlerDelegate:
        """Find the page, before everything (static files too) only under this machine's own names."""
        if request.host_name.lower() not in _LOOPBACK_NAMES:
            return self.get_handler_delegate(request, ForeignHost)
        return super().find_handler(request, **kwargs)
