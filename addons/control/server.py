"""Runs control on its own port."""

from __future__ import annotations

from pathlib import Path

import uvicorn

from addons.control.app import make_app
from addons.start_problems import GatewayProblem
from addons.store.state_dir import StateDir


def serve(state_path: Path, host: str, port: int) -> None:
    """Until it is told to stop.

    Raises:
        GatewayProblem: it could not listen.

    """
    app = make_app(StateDir.open(state_path).path)
    server = uvicorn.Server(
        uvicorn.Config(app, host=host, port=port, log_level="error", access_log=False, server_header=False)
    )
    try:
        server.run()
    except SystemExit:
        raise GatewayProblem(
            f"control can't listen on {host}:{port}; free the port, or choose another: `control: {{port: …}}`"
        ) from None
