"""The agent's side of ddgate: a local proxy that adds a fresh token, and an environment that points at it."""
