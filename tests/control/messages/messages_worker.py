"""A process that sends what waits in an outbox, to one receiver, until it is killed.

Usage: messages_worker.py DIRECTORY LEASE; DIRECTORY is that of a `message_office.Office`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from addons.control.messages.receivers import make_receiver
from addons.control.messages.sending import Sender
from addons.core.config_approvals import Notify
from tests.control.messages.message_office import QUICK, link, slower


def main() -> None:
    directory, lease = Path(sys.argv[1]), float(sys.argv[2])
    notify = Notify.model_validate(
        {"name": "hook", "url": {"file": "hook.url"}, "secret": {"file": "hook.key"}, "retries": ("0s",) * 20}
    )
    receiver = make_receiver(notify, directory, {})
    database = directory / "state" / "audit.sqlite3"
    sender = Sender(database, [receiver], link, limits=slower(QUICK, lease=lease))
    asyncio.run(sender.run())


if __name__ == "__main__":
    main()
