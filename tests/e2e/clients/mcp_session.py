# mypy: ignore-errors
# The SDK's contexts are typed, its answers' parts aren't.
"""Opens a session with Datadog's remote MCP server and calls a tool: NAME. Prints tools and answer."""

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
        answer = await session.call_tool("search_datadog_monitors", {"query": name})
        print(json.dumps({"tools": tools, "answer": answer.content[0].text}))  # noqa: T201 - what the test reads


asyncio.run(main(*sys.argv[1:]))
