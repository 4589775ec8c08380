"""Where a Datadog host is dialled, for agents' calls and for what the gateway reads itself."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from addons.core import addresses

_log = logging.getLogger(__name__)

HTTPS = 443


@dataclass(frozen=True, slots=True)
class Route:
    """Where to dial instead, and the CA file that signs what answers there (None: the public ones)."""

    address: str
    port: int
    ca: str | None


class Dialling:
    """`routes` maps a host, or `*` for every host, to where it is dialled; an address that an operator wrote
    there is not checked, one that DNS gave is.
    """

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes

    def route(self, host: str) -> Route | None:
        return self._routes.get(host, self._routes.get("*"))

    async def addresses_of(
        self, host: str, port: int, getaddrinfo: Callable[..., Awaitable[Any]], **options: int
    ) -> list[Any]:
        """Give what `getaddrinfo` gives, for one of Datadog's hosts in normal form.

        Raises:
            OSError: any address of the host is not a public one. One bad address among good ones is an attack
                or a broken resolver, and both end here.

        """
        if (route := self.route(host)) is not None:
            return list(await getaddrinfo(route.address, route.port, **options))
        found = await getaddrinfo(host, port, **options)
        for *_, address in found:
            if (why := addresses.refusal_of(str(address[0]))) is not None:
                _log.warning("%s resolves to an address that is not dialled: %s", host, why)
                raise OSError(f"{host} resolves to an address that must not be dialled ({why})")
        return list(found)
