"""The proxy that the child talks to: Datadog's hosts by the gateway, with a token; the rest as it was."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import secrets
import sys
from http import HTTPStatus

from addons.sidecar import heads
from addons.sidecar.dialling import ConnectAnswer, RefusedError, ask_for_tunnel, dial, refuse_loop
from addons.sidecar.forwarding import forward
from addons.sidecar.heads import Authority, MalformedHeadError, RequestHead
from addons.sidecar.limits import Limits
from addons.sidecar.relay import Stream, Tunnel, close
from addons.sidecar.routing import goes_to_gateway
from addons.sidecar.token_sources import TokenError
from addons.sidecar.tokens import Token, TokenKeeper
from addons.sidecar.upstreams import Upstreams

USER = "ddgate"
_LOOPBACK = "127.0.0.1"
_DEFAULT_LIMITS = Limits()
# aiosonic looks for this text, in this case.
_OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Listener:
    """One per run. Only who knows the run's secret may use it.

    With `strict` only Datadog's hosts are reached through it.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        keeper: TokenKeeper,
        *,
        strict: bool = False,
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        self._upstreams = upstreams
        self._keeper = keeper
        self._strict = strict
        self._limits = limits
        self._secret = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def proxy_url(self) -> str:
        """For the child's environment; holds the run's secret."""
        return f"http://{USER}:{self._secret}@{_LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Listen on a free port of the loopback interface. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, _LOOPBACK, 0, limit=self._limits.head_bytes)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the stream server runs this as a task
        self._connections.add(task)
        child = Stream(reader, writer)
        try:
            await self._serve(child)
        except RefusedError as refusal:
            await self._answer(child, refusal.status, str(refusal))
        except asyncio.CancelledError:
            pass  # the run is over
        except OSError:
            pass  # the child left
        except Exception as error:  # noqa: BLE001 - refuses; a traceback on the child's terminal helps nobody
            print(f"ddgate run: a call failed inside the proxy ({type(error).__name__})", file=sys.stderr)  # noqa: T201
            await self._answer(child, HTTPStatus.INTERNAL_SERVER_ERROR, "this call failed inside the proxy")
        finally:
            self._connections.discard(task)
            await close(writer)

    async def _serve(self, child: Stream) -> None:
        if len(self._connections) > self._limits.connections:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections at once")
        try:
            head = await self._read_head(child)
            if head is None:
                return
            self._authenticate(head)
            if head.method == "CONNECT":
                await self._connect(child, heads.parse_authority(head.target))
            else:
                await self._forward(child, head)
        except MalformedHeadError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None

    async def _read_head(self, child: Stream) -> RequestHead | None:
        """None when the child left without a word."""
        try:
            async with asyncio.timeout(self._limits.head_time):
                raw = await child.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the request's head came too slowly") from None
        except asyncio.LimitOverrunError:
            raise RefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large"
            ) from None
        return heads.parse_request_head(raw)

    def _authenticate(self, head: RequestHead) -> None:
        values = head.values("proxy-authorization")
        scheme, _, encoded = (values[0] if len(values) == 1 else "").partition(" ")
        try:
            login = base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            login = b""
        if not hmac.compare_digest(login, f"{USER}:{self._secret}".encode()):
            text = "this proxy is for one command; use the proxy URL in that command's HTTPS_PROXY whole"
            raise RefusedError(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, text)

    async def _connect(self, child: Stream, target: Authority) -> None:
        if goes_to_gateway(target.host):
            await self._connect_by_gateway(child, target)
            return
        self._refuse_if_strict(target)
        proxy = self._upstreams.proxy_for(target.host, is_tunnel=True)
        if proxy is None:
            far = await self._dial_directly(target)
        else:
            what = f"the environment's own proxy {proxy.authority}"
            far = await dial(proxy.authority, what, self._limits)
            answer = await self._ask(far, target, proxy.authorization, what)
            if not answer.is_open:
                await close(far.writer)
                raise RefusedError(
                    HTTPStatus.BAD_GATEWAY, f"{what} refused {target} with status {answer.status}"
                )
        await self._open(child, Tunnel(child, far, self._limits))

    async def _connect_by_gateway(self, child: Stream, target: Authority) -> None:
        token = await self._token()
        far, answer = await self._ask_gateway(target, token)
        if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            another = await self._another(token)
            if another is not None:  # once: what refuses that one as well has a reason
                await close(far.writer)
                token = another
                far, answer = await self._ask_gateway(target, token)
                if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                    self._keeper.reject(token)
        if answer.is_open:
            await self._open(child, Tunnel(child, far, self._limits, token.retire_at))
        else:
            await self._relay_refusal(child, far, answer)

    async def _ask_gateway(self, target: Authority, token: Token) -> tuple[Stream, ConnectAnswer]:
        far = await self._dial_gateway()
        return far, await self._ask(far, target, f"Bearer {token.value}", self._gateway_name())

    async def _another(self, refused: Token) -> Token | None:
        """Get a token in place of one that the gateway refused, revoked before its time for example; None
        where the source has no other.
        """
        self._keeper.reject(refused)
        try:
            token = await self._keeper.current()
        except TokenError:
            return None
        return None if token.value == refused.value else token

    async def _open(self, child: Stream, tunnel: Tunnel) -> None:
        child.writer.write(_OPENED)
        await tunnel.run()

    async def _relay_refusal(self, child: Stream, far: Stream, answer: ConnectAnswer) -> None:
        """Hand on the gateway's answer whole: it says to the agent why, and what to do."""
        left = answer.content_length
        try:
            async with asyncio.timeout(self._limits.refusal_time):
                child.writer.write(answer.raw)
                while (left is None or left > 0) and (
                    data := await far.reader.read(min(left or 65536, 65536))
                ):
                    child.writer.write(data)
                    await child.writer.drain()
                    left = None if left is None else left - len(data)
                await self._finish(child)
        except TimeoutError:
            pass  # what there was has been handed on
        finally:
            await close(far.writer)

    async def _forward(self, child: Stream, head: RequestHead) -> None:
        scheme, target, origin_form = heads.split_absolute(head.target)
        fields = [*head.end_to_end(), ("Connection", "close")]
        if goes_to_gateway(target.host):
            token = await self._token()
            far = await self._dial_gateway()
            fields.append(("Proxy-Authorization", f"Bearer {token.value}"))
            request = heads.request_head(head.method, head.target, fields)
            # Not sent again, because its body is gone: but the next call has another token.
            await forward(child, far, head, request, self._limits, lambda: self._keeper.reject(token))
            return
        self._refuse_if_strict(target)
        if scheme != "http":
            raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, f"https to {target} needs CONNECT")
        proxy = self._upstreams.proxy_for(target.host, is_tunnel=False)
        if proxy is None:
            far = await self._dial_directly(target)
            host = head.target.split("//", 1)[1].split("/", 1)[0].split("?", 1)[0]
            fields = [("Host", host), *((name, value) for name, value in fields if name.lower() != "host")]
            request = heads.request_head(head.method, origin_form, fields)
        else:
            far = await dial(proxy.authority, f"the environment's own proxy {proxy.authority}", self._limits)
            if proxy.authorization is not None:
                fields.append(("Proxy-Authorization", proxy.authorization))
            request = heads.request_head(head.method, head.target, fields)
        await forward(child, far, head, request, self._limits)

    def _refuse_if_strict(self, target: Authority) -> None:
        if self._strict:
            text = f"{target} isn't a Datadog host, and --strict lets nothing else through"
            raise RefusedError(HTTPStatus.FORBIDDEN, text)

    async def _token(self) -> Token:
        try:
            return await self._keeper.current()
        except TokenError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"no token for the gateway: {error}") from None

    def _gateway_name(self) -> str:
        return f"the gateway at {self._upstreams.gateway}"

    async def _dial_gateway(self) -> Stream:
        gateway = self._upstreams.gateway
        return await dial(gateway.authority, self._gateway_name(), self._limits, gateway.tls)

    async def _dial_directly(self, target: Authority) -> Stream:
        far = await dial(target, str(target), self._limits)
        await refuse_loop(far, self._port)
        return far

    async def _ask(
        self, far: Stream, target: Authority, authorization: str | None, what: str
    ) -> ConnectAnswer:
        try:
            return await ask_for_tunnel(far, target, authorization, what, self._limits)
        except (RefusedError, asyncio.CancelledError):
            far.writer.close()
            raise

    async def _answer(self, child: Stream, status: HTTPStatus, message: str) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.refusal_time):
                child.writer.write(heads.json_answer(status, message))
                await self._finish(child)

    async def _finish(self, child: Stream) -> None:
        """Let the child read what it was sent: closing over unread input would reset the connection."""
        await child.writer.drain()
        child.writer.write_eof()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                while await child.reader.read(65536):
                    pass
