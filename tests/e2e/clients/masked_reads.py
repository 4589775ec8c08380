# mypy: ignore-errors
# The official client leaves most of its constructors without types.
"""Reads users and monitors with the official client, and prints what its typed models hold."""

from __future__ import annotations

import json

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v2.api.users_api import UsersApi

with ApiClient(Configuration()) as client:
    users = UsersApi(client).list_users().data
    monitors = MonitorsApi(client).list_monitors()
    said = {
        "kinds": [type(users[0]).__name__, type(monitors[0]).__name__],
        "users": [user.attributes.to_dict() for user in users],
        "creators": [monitor.creator.to_dict() for monitor in monitors],
        "options": [monitor.options.to_dict() for monitor in monitors],
    }
    print(json.dumps(said, default=str))  # noqa: T201 - what the test reads
