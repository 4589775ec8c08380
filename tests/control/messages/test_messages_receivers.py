from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from addons.control.messages.receivers import Receiver, Unsendable, make_receiver
from addons.core.config_approvals import Notify
from tests.control.messages.message_office import KEY

URL = "https://hooks.example.com/services/a-secret-of-the-url"


def receiver(directory: Path, environment: dict[str, str] | None = None, **changed: Any) -> Receiver:
    notify = {"name": "hook", "url": {"env": "URL"}, "secret": {"env": "KEY"}, **changed}
    given = {"URL": URL, "KEY": KEY} if environment is None else environment
    return make_receiver(Notify.model_validate(notify), directory, given)


def test_secrets_come_from_files_the_environment_and_commands(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{URL}\n")
    told = (sys.executable, "-c", f"print({KEY!r})")
    address = receiver(tmp_path, url={"file": "url"}, secret={"command": told}).address()
    assert address == receiver(tmp_path).address()
    assert address.url == URL


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"KEY": KEY}, "environment variable URL: is not set"),
        ({"URL": URL}, "environment variable KEY: is not set"),
        ({"URL": "", "KEY": KEY}, "environment variable URL: holds no secret"),
        ({"URL": f"{URL}\x00", "KEY": KEY}, "environment variable URL: is no secret"),
        ({"URL": URL.replace("https", "http"), "KEY": KEY}, "environment variable URL: must be https"),
        ({"URL": "ftp://a-secret-of-the-url", "KEY": KEY}, "environment variable URL: is not an https URL"),
        ({"URL": "a-secret-of-the-url", "KEY": KEY}, "environment variable URL: is not an https URL"),
        ({"URL": f"{URL}\n{URL}", "KEY": KEY}, "environment variable URL: is not one URL"),
        ({"URL": URL, "KEY": "a-secret"}, "environment variable KEY: line 1: begins with neither"),
        ({"URL": URL, "KEY": "whsec_YQ=="}, "environment variable KEY: line 1: a whsec_ key has 24 to 64"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_by_its_place_and_never_shown(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    with pytest.raises(Unsendable) as caught:
        receiver(tmp_path, environment).address()
    assert str(caught.value).startswith(told)
    assert "a-secret" not in str(caught.value)


def test_http_is_for_loopback_alone(tmp_path: Path) -> None:
    for host in ("127.0.0.1:8000", "[::1]:8000", "localhost"):
        url = f"http://{host}/hook"
        assert receiver(tmp_path, {"URL": url, "KEY": KEY}).address().url == url


def test_neither_address_nor_letter_shows_a_secret(tmp_path: Path) -> None:
    address = receiver(tmp_path).address()
    assert "secret" not in repr(address)
    assert KEY not in repr(address)
