"""The registry: who is there, and where (PROTOCOL.md, section 6.4).

An entry lives as long as the link that its client registered on. What the program is told is
`Joined` and `Gone`; `entries()` gives the table, `snapshot()` what a successor needs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2s
from typing import TYPE_CHECKING

from palaver.entropy import Entropy
from palaver.link.events import Closed, Delivered, Leave, Opened, Send, Undelivered
from palaver.machine import Action, Address, Event, Notice, UsageError, WouldBlock, copy_slots
from palaver.timing import DEFAULT_TIMING
from palaver.wire.errors import Reason
from palaver.wire.names import clean_name, fold_name
from palaver.wire.registry import (
    MAX_ID,
    MAX_PAGE,
    REPLACED,
    ROLE,
    Entry,
    Erased,
    Found,
    Inactive,
    List,
    Lookup,
    Page,
    Refusal,
    Refused,
    Register,
    Registered,
    RegistryMessage,
    RollCall,
    Stale,
    Unregister,
    decode_registry,
    encode_change,
    is_tellable,
)

from .autosave import Autosave
from .registry_contest import Contest
from .registry_events import Gone, Joined, Retire, Snapshot, TakeSnapshot, Why
from .registry_table import SECRET_SIZE, RegistryTable, Row
from .role import Options, Role
from .roster import Roster

if TYPE_CHECKING:
    from typing import TypeGuard

    from typing_extensions import Unpack

_FOREVER = float("inf")
_SPARE_LINKS = 64
"""Links beyond those of the entries, so that who finds the registry full is told so."""
_MAX_AGE = (1 << 32) - 1
_ROLL_CALL = 1
_ANNOUNCEMENT = 2
"""The refs of what the registry sends and wants to know the fate of."""


class Registry(Role[RegistryMessage]):
    """A registry at one address.

    `max_entries` bounds who may be there. `snapshot` is what `snapshot()` gave before a restart:
    those that were there then get their ids back, and for a while nobody else gets their names.
    With `snapshot_every`, in seconds, it tells a `Snapshot` when the table has changed: at once, or
    if there were many of late, that often (`autosave`). It takes `TakeSnapshot` and `Retire`, and
    tells `Joined`, `Gone` and `Snapshot`.
    """

    __slots__ = (
        "_autosave",
        "_begun",
        "_contending",
        "_contests",
        "_entered",
        "_is_retired",
        "_roster",
        "_streams",
        "_table",
        "_timing",
        "_unmet",
        "max_entries",
    )

    def __init__(
        self,
        entropy: Entropy,
        *,
        max_entries: int = 16384,
        snapshot: bytes | None = None,
        snapshot_every: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Make a registry. Raises UsageError for a bad bound, or a snapshot that is damaged."""
        if max_entries < 1:
            raise UsageError(f"max_entries must be at least 1, not {max_entries}")
        self._autosave = None if snapshot_every is None else Autosave(snapshot_every)
        super().__init__(
            entropy, answers=(ROLE,), max_inbound=max_entries + _SPARE_LINKS, **options
        )
        self.max_entries = max_entries
        self._timing = options.get("timing", DEFAULT_TIMING)
        self._streams = options.get("streams", False)
        if snapshot is None:
            secret = blake2s(entropy(SECRET_SIZE), person=b"registry").digest()
            self._table = RegistryTable(secret)
        else:
            self._table = RegistryTable.restore(snapshot)
        # The ids of those that are entered, by link.
        self._entered: dict[int, int] = {}
        # Links that nobody was entered on, and until when that may last, soonest first.
        self._unmet: OrderedDict[int, float] = OrderedDict()
        # By folded name, the oldest first; and the names that links wait for.
        self._contests: OrderedDict[str, Contest] = OrderedDict()
        self._contending: dict[int, str] = {}
        self._begun = False
        self._is_retired = False
        self._roster = Roster(self._timing.roster)

    # Getters

    def __len__(self) -> int:
        """Give how many are there."""
        return len(self._entered)

    @property
    def links(self) -> list[int]:
        """The links that are open, for whoever wants to end them."""
        return list(self._open)

    def entries(self, now: float) -> Iterator[Entry]:
        """Give who is there at `now`, by rising id."""
        return (self._entry(row, now) for row in self._table.above(0))

    def snapshot(self) -> bytes:
        """Give what a successor needs, for a restart without losses."""
        return self._table.snapshot()

    def stats(self) -> dict[str, int]:
        """Give the counts of the endpoint, and who is there."""
        return {**super().stats(), "entries": len(self._entered), "kept": self._table.kept}

    # Commands

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, TakeSnapshot):
            out.append(Snapshot(self._table.snapshot()))
        elif isinstance(event, Retire):
            self._retire(now, out)
        else:
            super()._do(event, now, out)

    def _retire(self, now: float, out: list[Action]) -> None:
        """Enter nobody any more, end all links, and leave to a successor all who were there."""
        if self._autosave is not None and self._autosave.is_due:
            out.append(Snapshot(self._table.snapshot()))
        self._is_retired, self._autosave = True, None
        for link in list(self._open):
            self._pass_on(Leave(link, Reason.SHUTTING_DOWN), now, out)

    # Time

    def _take(self, event: Event, now: float, out: list[Action], /) -> None:
        super()._take(event, now, out)
        # Not before: a command that is refused changes nothing.
        if not self._begun:
            self._begun = True
            self._table.keep_until(now + self._timing.keep_name)
        if self._autosave is not None:
            self._autosave.go_on(self._table, now, out)

    @property
    def _due(self) -> float:
        unmet = next(iter(self._unmet.values()), _FOREVER)
        contest = next(iter(self._contests.values()), None)
        contested = _FOREVER if contest is None else contest.until
        saving = _FOREVER if self._autosave is None else self._autosave.due
        return min(unmet, contested, self._table.deadline, self._roster.due, saving)

    def _on_time(self, now: float, out: list[Action], /) -> None:
        self._table.expire(now)
        for link, until in list(self._unmet.items()):
            if until > now:
                break
            del self._unmet[link]
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)
        for name, contest in list(self._contests.items()):
            if contest.until > now:
                break
            self._take_name(name, now, out)
        if self._roster.due <= now:
            self._announce(now, out)
        if self._autosave is not None:
            self._autosave.go_on(self._table, now, out)

    # What the links tell

    def _decode(self, _: str, message: bytes, /) -> RegistryMessage | None:
        return decode_registry(message)

    def _opened(self, opened: Opened, now: float, out: list[Action], /) -> None:
        if self._is_retired:
            self._pass_on(Leave(opened.link, Reason.SHUTTING_DOWN), now, out)
            return
        self._unmet[opened.link] = now + self._timing.introduce

    def _heard(
        self, opened: Opened, message: RegistryMessage, now: float, out: list[Action], /
    ) -> None:
        link = opened.link
        if self._is_retired:
            return
        if self._is_claim(message, link):
            self._register(link, message, now, out)
        elif link not in self._entered:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)
        elif type(message) is Lookup:
            self._look_up(link, message, now, out)
        elif type(message) is List:
            self._list(link, message, now, out)
        elif type(message) is Unregister:
            self._erase(link, Why.LEFT, now, out)
            self._unmet[link] = now + self._timing.introduce
            self._tell(link, Erased().encode(), now, out)
        else:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)

    def _is_claim(self, message: RegistryMessage, link: int) -> TypeGuard[Register]:
        """Tell whether this is a REGISTER, in its place, with a port on a stream only."""
        return (
            type(message) is Register
            and link in self._unmet
            and link not in self._contending
            and (self._streams or not message.port)
        )

    def _closed(self, closed: Closed, _: Opened | None, now: float, out: list[Action], /) -> None:
        link = closed.link
        self._unmet.pop(link, None)
        self._roster.forget(link)
        if link in self._contending:
            del self._contests[self._contending.pop(link)]
        if link in self._entered:
            self._erase(link, Why.VANISHED, now, out)

    def _told(self, notice: Notice, now: float, out: list[Action], /) -> None:
        if not isinstance(notice, Delivered | Undelivered):
            return
        if notice.ref == _ANNOUNCEMENT:
            if self._roster.settled(notice.link):
                self._tell(notice.link, Stale().encode(), now, out)
        elif isinstance(notice, Delivered):
            # The answer to a roll call: who has the name that another claims is alive.
            row = self._row(notice.link)
            contest = None if row is None else self._end_contest(row.name)
            if contest is not None:
                self._refuse(contest.link, Refusal.NAME_TAKEN, now, out)

    # Joining

    def _register(self, link: int, claim: Register, now: float, out: list[Action]) -> None:
        address = self._call_address(link, claim)
        try:
            name = clean_name(claim.name)
        except UsageError:
            self._refuse(link, Refusal.NAME_INVALID, now, out)
            return
        if address is None or not is_tellable(address):
            self._refuse(link, Refusal.NO_ADDRESS, now, out)
            return
        holder = self._table.holder(name)
        is_owner = self._table.owns(claim.id, claim.token, name)
        if holder is None:
            self._enter(link, name, address, claim.id if is_owner else 0, now, out)
        elif is_owner and holder.id == claim.id:
            self._hand_over(holder, link, name, address, now, out)
        elif holder.link and fold_name(name) not in self._contests:
            self._contest(holder, link, claim, now, out)
        else:
            self._refuse(link, Refusal.NAME_TAKEN, now, out)

    def _call_address(self, link: int, claim: Register) -> Address | None:
        """Give where others can call: on a stream, at the port that the client has named."""
        seen = self._address_of(link)
        if seen is None or not self._streams:
            return seen
        return (seen[0], claim.port) if claim.port else None

    def _enter(
        self, link: int, name: str, address: Address, number: int, now: float, out: list[Action]
    ) -> None:
        is_full = len(self._table) >= self.max_entries
        if is_full or (not number and self._table.next_id > MAX_ID):
            self._refuse(link, Refusal.FULL, now, out)
            return
        row = self._table.enter(name, address, link, now, number)
        self._welcome(link, row, now, out, resumed=number != 0)

    def _hand_over(
        self, row: Row, link: int, name: str, address: Address, now: float, out: list[Action]
    ) -> None:
        """Give an entry to its owner, who has come on a link that is not the entry's."""
        before = row.link
        contest = self._end_contest(name)
        self._table.hand_over(row, name, address, link, now)
        if before:
            del self._entered[before]
            self._roster.forget(before)
            self._give_up(before, REPLACED, now, out)
        self._welcome(link, row, now, out, resumed=True)
        if contest is not None:
            self._refuse(contest.link, Refusal.NAME_TAKEN, now, out)

    def _welcome(
        self, link: int, row: Row, now: float, out: list[Action], *, resumed: bool
    ) -> None:
        self._unmet.pop(link, None)
        self._entered[link] = row.id
        token = self._table.token(row.id, row.name)
        self._tell(link, Registered(row.id, token).encode(), now, out)
        entry = self._entry(row, now)
        self._roster.note(encode_change(entry), now)
        self._has_changed()
        out.append(Joined(entry, resumed))

    def _refuse(self, link: int, code: Refusal, now: float, out: list[Action]) -> None:
        """Turn a claim down; the client may try another name, or leave, in its time."""
        if link in self._unmet:
            del self._unmet[link]
            self._unmet[link] = now + self._timing.introduce
            self._tell(link, Refused(code).encode(), now, out)

    # Two who claim one name

    def _contest(
        self, holder: Row, link: int, claim: Register, now: float, out: list[Action]
    ) -> None:
        """See whether the one who has the name is alive, before its claim is turned down."""
        key = fold_name(holder.name)
        self._contests[key] = Contest(link, claim, now + self._timing.contest)
        self._contending[link] = key
        try:
            self._pass_on(Send(holder.link, RollCall().encode(), _ROLL_CALL), now, out)
        except (WouldBlock, UsageError):
            # It has taken nothing for long, or is sent nothing more: it has until the decision.
            return

    def _take_name(self, name: str, now: float, out: list[Action]) -> None:
        """Take the name from one who has shown no life, and give it to the one who claims it."""
        row = self._table.holder(name)
        assert row is not None
        self._give_up(row.link, Reason.DEAD, now, out)
        self._erase(row.link, Why.VANISHED, now, out)

    def _end_contest(self, name: str) -> Contest | None:
        contest = self._contests.pop(fold_name(name), None)
        if contest is not None:
            del self._contending[contest.link]
        return contest

    # Leaving

    def _erase(self, link: int, why: Why, now: float, out: list[Action]) -> None:
        number = self._entered.pop(link)
        row = self._table.erase(number)
        assert row is not None
        self._roster.forget(link)
        self._roster.note(encode_change(number), now)
        self._has_changed()
        out.append(Gone(self._entry(row, now), why))
        contest = self._end_contest(row.name)
        if contest is not None and not self._is_retired:
            self._register(contest.link, contest.claim, now, out)

    # Answering

    def _look_up(self, link: int, asked: Lookup, now: float, out: list[Action]) -> None:
        row = self._table.by_id(asked.id) if asked.id else self._table.by_name(asked.name)
        request = asked.request
        answer = Inactive(request) if row is None else Found(request, self._entry(row, now))
        self._tell(link, answer.encode(), now, out)

    def _list(self, link: int, asked: List, now: float, out: list[Action]) -> None:
        entries: list[Entry] = []
        room = MAX_PAGE - len(Page(0, more=False, entries=()).encode())
        more = False
        for row in self._table.above(asked.after):
            entry = self._entry(row, now)
            room -= len(entry.encode())
            if room < 0:
                more = True
                break
            entries.append(entry)
        self._tell(link, Page(asked.request, more, tuple(entries)).encode(), now, out)

    def _has_changed(self) -> None:
        if self._autosave is not None:
            self._autosave.is_due = True

    def _row(self, link: int) -> Row | None:
        return self._table.by_id(self._entered.get(link, 0))  # nobody has the id 0

    def _entry(self, row: Row, now: float) -> Entry:
        """Give an entry as others are told of it: at the address where its owner is now."""
        address = None if self._streams else self._address_of(row.link)
        if address is not None and address != row.address and is_tellable(address):
            row.address = address
        return Entry(row.id, row.name, row.address, min(int(now - row.since), _MAX_AGE))

    def _announce(self, now: float, out: list[Action]) -> None:
        """Tell all who are there what has changed. Who has not taken the last is told later."""
        message = self._roster.take(now, len(self._entered)) or Stale().encode()
        for link in self._roster.ready(list(self._entered)):
            try:
                self._pass_on(Send(link, message, _ANNOUNCEMENT), now, out)
            except (WouldBlock, UsageError):
                self._give_up(link, Reason.OVERWHELMED, now, out)

    # Exploration

    def clone(self) -> Registry:
        """Give an independent twin that will draw the same random values."""
        twin = self._twin()
        twin._table = self._table.clone()
        twin._entered = self._entered.copy()
        twin._unmet = self._unmet.copy()
        twin._contests = self._contests.copy()
        twin._contending = self._contending.copy()
        twin._roster = self._roster.clone()
        twin._autosave = copy_slots(self._autosave) if self._autosave is not None else None
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            *super().state_key(now),
            self._table.key(now),
            tuple(sorted(self._entered.items())),
            tuple((link, until - now) for link, until in self._unmet.items()),
            tuple((n, c.link, c.claim, c.until - now) for n, c in self._contests.items()),
            self._roster.key(now),
            self._is_retired,
            None if self._autosave is None else self._autosave.key(now),
        )
