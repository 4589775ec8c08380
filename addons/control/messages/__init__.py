"""Messages about approvals to whoever is to be told, sent by a task that nothing else here knows of."""
