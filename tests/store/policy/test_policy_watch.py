"""Whatever puts another text in a policy file's place wakes whoever waits for it."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.store.policy import watch as policy_watch
from addons.store.policy.watch import PolicyWatch, names_on_the_way

WAIT = 5.0  # less than a watch lasts, which calls when it begins anew


class Watched:
    """A watch on one path that remembers whether it called."""

    def __init__(self, *paths: Path) -> None:
        self.called = threading.Event()
        self.watch = PolicyWatch(paths, self.called.set)
        self.watch.start()

    def after(self, change: Callable[[], object]) -> bool:
        """Whether it calls after `change`, once it has been quiet for a while."""
        while self.called.wait(0.4):
            self.called.clear()
        change()
        return self.called.wait(WAIT)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(*paths: Path) -> Watched:
        made.append(Watched(*paths))
        return made[-1]

    yield make
    for one in made:
        one.watch.stop()


def _replace(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_text("new")
    new.rename(path)


def _turn(link: Path, target: str) -> None:
    new = link.with_name("turning")
    new.symlink_to(target)
    new.rename(link)


def test_a_file_that_is_written_replaced_or_removed_wakes(
    tmp_path: Path, watched: Callable[..., Watched]
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("old")
    watch = watched(path)
    assert watch.after(lambda: path.write_text("new"))
    assert watch.after(lambda: _replace(path))
    assert watch.after(lambda: path.unlink() if path.exists() else path.touch())


def test_a_turned_link_wakes_as_kubernetes_turns_it(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.yaml").write_text(name)
    data = tmp_path / "..data"
    data.symlink_to("..1")
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    watch = watched(tmp_path / "p.yaml")
    for _ in range(3):
        assert watch.after(lambda: _turn(data, "..2" if data.readlink() == Path("..1") else "..1"))


def test_a_directory_that_is_replaced_wakes_and_is_watched_on(
    tmp_path: Path, watched: Callable[..., Watched]
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "p.yaml").write_text("old")
    watch = watched(folder / "p.yaml")

    def anew() -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "p.yaml").write_text("new")

    assert watch.after(anew)
    assert watch.after(lambda: (folder / "p.yaml").write_text("newer"))


def test_a_directory_that_is_not_there_yet_wakes_when_it_is(
    tmp_path: Path, watched: Callable[..., Watched]
) -> None:
    path = tmp_path / "a" / "b" / "p.yaml"
    watch = watched(path)

    def make() -> None:
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        path.parent.mkdir(parents=True)
        path.write_text("x")

    assert watch.after(make)
    assert watch.after(lambda: path.write_text("y"))


def test_every_name_that_decides_where_a_path_leads_is_known(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "real" / "deep").mkdir(parents=True)
    (root / "real" / "deep" / "p.yaml").write_text("x")
    (root / "up").symlink_to("real/deep/../deep")
    (root / "absolute").symlink_to(root / "up")
    (root / "circle").symlink_to("circle")
    assert names_on_the_way(root / "real" / "deep" / "p.yaml") == [root / "real" / "deep" / "p.yaml"]
    assert names_on_the_way(root / "absolute" / "p.yaml") == [
        root / "absolute",
        root / "up",
        root / "real" / "deep" / "p.yaml",
    ]
    assert set(names_on_the_way(root / "circle" / "p.yaml")) == {root / "circle"}
    assert names_on_the_way(root / "gone" / "p.yaml") == [root / "gone" / "p.yaml"]


def test_a_system_that_watches_nothing_is_told_of_once_and_hinders_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Semaphore(0)

    def no_more(*_paths: object, **_options: object) -> object:
        tried.release()
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(policy_watch, "watch", no_more)
    monkeypatch.setattr(policy_watch, "_PAUSE", 0.01)
    caplog.set_level(logging.WARNING)
    watch = PolicyWatch([tmp_path / "p.yaml"], lambda: None)
    watch.start()
    for _ in range(3):
        assert tried.acquire(timeout=WAIT)
    watch.stop()
    (line,) = caplog.messages
    assert "Too many open files" in line
