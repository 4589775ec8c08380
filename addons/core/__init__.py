"""Pure decisions: no mitmproxy, asyncio, clock, network or file access in here."""
