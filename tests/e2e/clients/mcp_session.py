# mypy: ignore-errors
# The SDK's contexts are typed, its answers' parts aren't.
"""Opens a session with Datadog's remote MCP server and calls a tool: NAME. Prints tools and answer, and the
progress it was told of before that. Tells the server of the first: it answers only after that.
"""

from __future__ import annotations

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

URL = "https://mcp.datadoghq.com/api/unstable/mcp-server/mcp"


async def main(name: str) -> None:
    async with streamable_http_client(URL) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        told = []
        has_begun = asyncio.Event()

        async def progress(done: float, _total: float | None, message: str | None) -> None:
            told.append([done, message])
            has_begun.set()

        async def seen() -> None:
            await has_begun.wait()
            await session.send_progress_notification("seen", 1.0)

        asking = session.call_tool("search_datadog_monitors", {"query": name}, progress_callback=progress)
        answer, _ = await asyncio.gather(asking, seen())
        said = {"tools": tools, "answer": answer.content[0].text, "progress": told}
        print(json.dumps(said))  # noqa: T201 - what the test reads


asyncio.run(main(*sys.argv[1:]))
