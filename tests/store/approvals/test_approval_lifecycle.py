"""Any steps in any order, by two connections and with clocks that jump: the store against a model."""

from __future__ import annotations

import sqlite3
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.needs import places_left
from addons.core.approvals.states import LIVE, TRANSITIONS, State
from addons.core.approvals.voting import VoteRefused
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask, CancelAsRequester, ExpireDue, SetHolders, Withdraw
from addons.store.approvals.runs import Consume, Lost, NotSent, Ran, Recover
from addons.store.approvals.votes import BreakTheGlass, Resolve, VoteFor
from addons.store.audit.changes import Change, ChangeRefused, RefusedBecause
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.process_lock import ProcessLock
from tests.store.approval_samples import NEEDS, START, Store, approval, person, requester

PEOPLE = (
    person("alice", "sre"),
    person("bob", "sre", "secops"),
    person("carol", "secops", "breakers"),
    person("agent-1", "sre", "secops", "breakers"),  # who asks
    person("owner", "sre"),  # on whose behalf
    replace(person("alice-2", "sre"), names=frozenset({"alice-2", "alice@example.com"})),  # alice once more
)
REQUESTER = requester("agent-1", "owner")
MOST = 3
DIGESTS = ("d1", "d2", "d3", "d4")
NEEDED = (NEEDS, replace(NEEDS, groups=(("secops", 1), ("sre", 1))))
STEPS = {before: {after for (state, _), after in TRANSITIONS.items() if state is before} for before in State}


@dataclass
class Known:
    """What the model knows of one approval."""

    state: State
    digest: str
    given_back: int = 0
    consumed: int = 0
    calls: set[str] = field(default_factory=set)


class Lifecycle(RuleBasedStateMachine):
    ones = Bundle("ones")
    which = st.integers(0, 1)

    def __init__(self) -> None:
        super().__init__()
        # In memory, where there is such a place: what a disk adds to the order of steps is time.
        memory = Path("/dev/shm")  # noqa: S108 - the folder made there is private
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.state = StateDir.open(Path(self.folder.name) / "state")
        self.stores = [Store(self.state.audit_log) for _ in range(2)]
        self.reader = Approvals.open(self.state.audit_log)
        self.looking = sqlite3.connect(self.state.audit_log)
        self.locks = [ProcessLock.take(self.state) for _ in range(2)]
        self.known: dict[str, Known] = {}
        self.version = 0
        self.at = START
        self.calls = 0

    def teardown(self) -> None:
        self.reader.close()
        self.looking.close()
        for store, lock in zip(self.stores, self.locks, strict=True):
            store.log.close()
            lock.release()
        self.folder.cleanup()

    def tried[T](self, which: int, change: Change[T], *records: AuditRecord) -> T | RefusedBecause:
        before = self.everything()
        try:
            result = self.stores[which].do(change, *records)
        except ChangeRefused as refused:
            reason = refused.reason
        else:
            assert not isinstance(result, VoteRefused) or self.last_kind() == "approval_vote_refused"
            return result
        assert reason not in {RefusedBecause.FAILED, RefusedBecause.UNREADABLE}
        assert self.everything() == before
        return reason

    def everything(self) -> tuple[object, ...]:
        """Every change makes a version, a record or a row of these."""
        found: tuple[object, ...] = self.looking.execute(
            "SELECT (SELECT max(version) FROM approvals), (SELECT max(idx) FROM records), "
            "(SELECT count(*) FROM outbox), (SELECT count(*) FROM approval_history), "
            "(SELECT total(count) FROM approval_holders)"
        ).fetchone()
        return found

    def last_kind(self) -> object:
        (kind,) = self.looking.execute("SELECT kind FROM records ORDER BY idx DESC LIMIT 1").fetchone()
        return kind

    @initialize(target=ones)
    def begin(self) -> object:
        every = [self.asked(0, digest, 0, supersede=False) for digest in DIGESTS[:MOST]]
        return multiple(*every)

    def asked(self, which: int, digest: str, needs: int, *, supersede: bool) -> object:
        wished = replace(
            approval(digest, thread="t" + digest[-1], by=REQUESTER, needs=NEEDED[needs]),
            thread="even" if digest in {"d2", "d4"} else "odd",
        )
        asked = self.tried(which, Ask(wished, self.at, MOST, supersede, self.locks[which].name))
        self.look()
        if isinstance(asked, RefusedBecause):
            assert asked is RefusedBecause.TOO_MANY
            assert sum(one.state is State.PENDING for one in self.known.values()) >= MOST
            return multiple()
        if asked.joined:
            assert asked.approval.id in self.known
            # No answer is kept here, but where the clock was put back, a call that ran seems to run just now.
            ran_later = (asked.approval.ran_at or 0.0) > self.at.wall
            assert asked.approval.state in LIVE | {State.DENIED, State.EXPIRED} or ran_later
            self.in_time(asked.approval)
            return multiple()
        assert sum(one.state is State.PENDING for one in self.known.values()) <= MOST
        assert asked.approval.id == wished.id
        return wished.id

    def in_time(self, one: Approval) -> None:
        """By the wall clock at least."""
        if one.state is State.PENDING:
            assert self.at.wall < one.pending_until
        if one.state is State.APPROVED:
            assert one.grant_until is not None
            assert self.at.wall < one.grant_until

    @rule(
        target=ones,
        which=which,
        digest=st.sampled_from(DIGESTS),
        needs=st.integers(0, 1),
        supersede=st.booleans(),
    )
    def ask(self, which: int, digest: str, needs: int, supersede: bool) -> object:
        return self.asked(which, digest, needs, supersede=supersede)

    @rule(
        one=ones,
        which=which,
        by=st.sampled_from(PEOPLE),
        word=st.sampled_from(("yes", "yes", "yes", "no", "glass", "it ran", "it did not")),
    )
    def speak(self, one: str, which: int, by: Person, word: str) -> None:
        changes: dict[str, Change[Approval | VoteRefused]] = {
            "yes": VoteFor(one, by, True, "why", None, self.at),
            "no": VoteFor(one, by, False, "why", None, self.at),
            "glass": BreakTheGlass(one, by, "fire", self.at),
            "it ran": Resolve(one, by, True, "I looked", self.at),
            "it did not": Resolve(one, by, False, "I looked", self.at),
        }
        self.tried(which, changes[word])

    def grant(self, one: str, which: int) -> None:
        """All who are needed say yes."""
        if self.known[one].state is State.PENDING:
            for by in PEOPLE[1:3] + PEOPLE[:1]:
                self.tried(which, VoteFor(one, by, True, "why", None, self.at))
            self.look()

    @rule(one=ones, which=which)
    def go(self, one: str, which: int) -> None:
        self.grant(one, which)
        self.consume(one, which, 1)

    @rule(one=ones, which=which, withdraws=st.booleans())
    def take_back(self, one: str, which: int, withdraws: bool) -> None:
        if withdraws:
            self.tried(which, Withdraw(one, "changed", self.at))
        else:
            self.tried(which, CancelAsRequester(one, REQUESTER, "", self.at))

    @rule(one=ones, which=which, right=st.integers(0, 4))
    def consume(self, one: str, which: int, right: int) -> None:
        found = self.reader.get(one)
        assert found is not None
        self.calls += 1
        call, digest = f"call-{self.calls}", found.digest if right else "other"
        attempted = AuditRecord(RecordKind.ATTEMPTED, self.at.wall, call)
        taken = self.tried(which, Consume(one, digest, self.locks[which].name, call, self.at), attempted)
        if isinstance(taken, RefusedBecause):
            assert taken is RefusedBecause.NOT_APPROVED
            return
        assert right
        assert found.state is State.APPROVED
        self.in_time(found)
        known = self.known[one]
        known.consumed += 1
        known.calls.add(call)
        assert known.consumed - known.given_back == 1
        other = self.tried(which, NotSent(one, "call-0", self.at))
        assert other is RefusedBecause.NOT_EXECUTING

    @rule(
        one=ones, which=which, end=st.sampled_from(("not sent", "ran", "failed", "lost")), late=st.booleans()
    )
    def end_call(self, one: str, which: int, end: str, late: bool) -> None:
        found = self.reader.get(one)
        assert found is not None
        call = "call-0" if late else (found.executing_call or "none")
        changes: dict[str, Change[Approval]] = {
            "not sent": NotSent(one, call, self.at),
            "ran": Ran(one, call, 200, None, self.at),
            "failed": Ran(one, call, 500, None, self.at),
            "lost": Lost(one, call, self.at),
        }
        ended = self.tried(which, changes[end])
        if isinstance(ended, RefusedBecause):
            assert ended is RefusedBecause.NOT_EXECUTING
            assert late or found.state is not State.EXECUTING
            return
        assert not late
        if end == "not sent":
            self.known[one].given_back += 1

    @rule(one=ones, which=which)
    def run_again(self, one: str, which: int) -> None:
        """A grant that came back, or didn't, is tried again at once."""
        self.consume(one, which, 1)
        self.consume(one, 1 - which, 1)

    @rule(one=ones, which=which)
    def come_late(self, one: str, which: int) -> None:
        self.grant(one, which)
        self.tick(NEEDS.grant, boot=True)
        self.consume(one, which, 1)

    @rule(which=which)
    def die(self, which: int) -> None:
        """The process of one connection ends; another takes its place and recovers."""
        self.locks[which].release()
        gone = self.locks[which].name
        running = {one.id for one in self.reader.list({State.EXECUTING}, 1000) if one.process == gone}
        self.locks[which] = ProcessLock.take(self.state)
        assert set(self.stores[1 - which].do(Recover(self.state, self.at))) == running

    @rule(one=ones, which=which, count=st.integers(0, 2))
    def hold(self, one: str, which: int, count: int) -> None:
        self.tried(which, SetHolders(one, self.locks[which].name, count))

    @rule(which=which)
    def expire(self, which: int) -> None:
        expired = self.tried(which, ExpireDue(self.at))
        for one in self.reader.list({State.PENDING, State.APPROVED}, 1000):
            self.in_time(one)
            assert one.id not in expired

    @rule(wall=st.sampled_from((0.0, 1.0, 20.0, 50.0, 121.0, 601.0, -50.0, -301.0)), boot=st.booleans())
    def tick(self, wall: float, boot: bool) -> None:
        """Time goes on, or the wall clock alone is set."""
        self.at = Moment(self.at.wall + wall, self.at.boot + (max(wall, 0.0) if boot else 0.0), "boot-1")

    @invariant()
    def look(self) -> None:
        """Compare with what was known, and learn what is new."""
        for changed in self.reader.changed_after(self.version):
            self.version = changed.version
            one = self.reader.get(changed.id)
            assert one is not None
            known = self.known.setdefault(one.id, Known(State.PENDING, one.digest))
            if one.state is not known.state:
                assert one.state in STEPS[known.state], f"{known.state} became {one.state}"
            known.state = one.state
            self._decided_rightly(one)
            assert (one.state is State.EXECUTING) <= (one.executing_call in known.calls)
            assert 0 <= known.consumed - known.given_back <= 1
            kinds = [record.to_json()["kind"] for record in self.reader.history(one.id)]
            assert kinds[0] == "approval_requested"
            assert kinds.count("approval_consumed") == known.consumed
            assert kinds.count("approval_not_sent") == known.given_back
        live = [one.digest for one in self.known.values() if one.state in LIVE]
        assert len(live) == len(set(live))

    def _decided_rightly(self, one: Approval) -> None:
        yes = [vote.person for vote in one.yes_votes]
        names = [name for each in yes for name in each.names]
        assert len(names) == len(set(names)), "one person twice"
        assert not set(names) & one.requester.names, "their own request"
        left = places_left(one.needs, [each.groups for each in yes])
        assert left is not None
        granted = one.granted_at is not None
        assert granted == (not left or one.broken_glass is not None)
        if one.broken_glass is not None:
            assert "breakers" in one.broken_glass.person.groups
            assert not one.broken_glass.person.names & one.requester.names


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
