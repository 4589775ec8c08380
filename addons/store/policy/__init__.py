"""Policy read, watched and counted, and decided away from the event loop. Imports `targets`."""
