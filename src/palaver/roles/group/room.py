"""One room as its hub keeps it: who is there, what has happened, and who has it (section 6.6).

Nothing here knows of links or time. All that happens is an entry of one log, numbered from 1. An
entry is encoded once, and so is the message that carries it: every reader that stands at the same
place is sent the same bytes. The log is the queue of everybody who can't take more for now, so
that a slow reader costs no memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from palaver.machine import Address, copy_slots
from palaver.wire.group import TOKEN_SIZE, Post
from palaver.wire.group_log import LOG_HEADER_SIZE, Coming, Joined, Left, Taken, encode_log
from palaver.wire.names import fold_name

from .rules import HubRules
from .states import SeatState

PACK = 900
"""Bytes of a message with several entries: it fits one segment, and the least credit."""
FLUSH = 64
"""New entries that are offered to all at once; fewer wait for the end of the batch."""


class Seat:
    """Somebody, from its link to the end of its membership; `number` names it within the hub."""

    __slots__ = (
        "acked",
        "address",
        "counted",
        "link",
        "name",
        "news",
        "number",
        "own",
        "progress",
        "rival",
        "room",
        "sent",
        "state",
        "taken",
        "token",
    )

    def __init__(self, number: int, link: int, address: Address) -> None:
        self.number = number
        self.link = link
        self.address = address
        self.state = SeatState.WAITING
        # Its room, by number; 0 for none yet.
        self.room = 0
        self.name = ""
        self.token = bytes(TOKEN_SIZE)
        # The seat of the one whose name it asks for; 0 for nobody.
        self.rival = 0
        # Entries, by number: the last one given to the link, the last one that was acknowledged,
        # the last one that needs no counting any more, and its own last post.
        self.sent = 0
        self.acked = 0
        self.counted = 0
        self.own = 0
        # The highest id of its posts.
        self.taken = 0
        # When it last acknowledged something.
        self.progress = 0.0
        # What to tell it of its posts, by id: how many have them, and how many may still.
        self.news: dict[int, tuple[int, int]] = {}

    def clone(self) -> Seat:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.news = self.news.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            *(self.number, self.link, self.state, self.room, self.name, self.token, self.address),
            self.rival,
            *(self.sent, self.acked, self.counted, self.own, self.taken, self.progress - now),
            tuple(self.news.items()),
        )


class Record:
    """An entry of the log, and for a post how far it has come."""

    __slots__ = ("acknowledged", "author", "awaited", "came", "data", "id", "went")

    def __init__(self, data: bytes) -> None:
        self.data = data
        # For a post: who wrote it, and its id there. Who came or went, for the other entries.
        self.author = 0
        self.id = 0
        self.came = ""
        self.went = ""
        # Readers that have it, and those that may still say so.
        self.acknowledged = 0
        self.awaited = 0


class Room:
    """A room and its log. `present`, `behind` and `absent` are by number of the seat."""

    __slots__ = (
        "_bytes",
        "_fresh",
        "_packs",
        "absent",
        "behind",
        "first",
        "flushed",
        "guests",
        "held",
        "last",
        "log",
        "name",
        "names",
        "present",
        "rules",
        "stalled",
        "waiting",
    )

    def __init__(self, name: str, rules: HubRules) -> None:
        self.name = name
        self.rules = rules
        self.present: dict[int, Seat] = {}
        self.behind: dict[int, Seat] = {}
        self.absent: dict[int, Seat] = {}
        # Those without a link, for whom the program answers.
        self.guests: dict[int, Seat] = {}
        # Those present, and guests, by folded name.
        self.names: dict[str, Seat] = {}
        self.log: dict[int, Record] = {}
        # The numbers of the first entry that is kept, of the last one, and of the last one that
        # was offered to all.
        self.first = 1
        self.last = 0
        self.flushed = 0
        # Whether most of it is behind; whether posts wait for that to end, and those that do, by
        # seat. Their authors' links bound them.
        self.stalled = False
        self.held = False
        self.waiting: deque[tuple[int, Post]] = deque()
        # Bytes of all entries, and of those that were not offered to all yet.
        self._bytes = 0
        self._fresh = 0
        # For readers that stand at the same place: their messages, by the number before.
        self._packs: dict[int, list[tuple[int, bytes]]] = {}

    # Who is there

    @property
    def is_empty(self) -> bool:
        """Whether nobody is there."""
        return not self.present and not self.guests

    def enter(self, seat: Seat, how: Coming) -> None:
        """Let somebody come in, and note it in the log."""
        self.absent.pop(seat.number, None)
        self.present[seat.number] = seat
        self.names[fold_name(seat.name)] = seat
        self._append(Record(Joined(how, seat.name).encode())).came = seat.name
        seat.counted = self.last

    def exit(self, seat: Seat, how: int) -> list[int]:
        """Let somebody go, and note it in the log; give the authors who waited for it."""
        del self.present[seat.number]
        del self.names[fold_name(seat.name)]
        self.behind.pop(seat.number, None)
        authors = self._give_up_on(seat)
        self._append(Record(Left(how, seat.name).encode())).went = seat.name
        return authors

    def enter_guest(self, guest: Seat) -> None:
        """Let somebody come in who has no link, and note it in the log."""
        self.guests[guest.number] = guest
        self.names[fold_name(guest.name)] = guest
        self._append(Record(Joined(Coming.NEW, guest.name).encode())).came = guest.name

    def exit_guest(self, guest: Seat, how: int) -> None:
        """Let such a one go, and note it in the log."""
        del self.guests[guest.number]
        del self.names[fold_name(guest.name)]
        self._append(Record(Left(how, guest.name).encode())).went = guest.name

    def members_at(self, number: int) -> list[str]:
        """Give who was there after entry `number`: one of the log, or the one before."""
        here = [*self.present.values(), *self.guests.values()]
        names = {fold_name(seat.name): seat.name for seat in here}
        for place in range(self.last, number, -1):
            record = self.log[place]
            if record.came:
                names.pop(fold_name(record.came), None)
            elif record.went:
                names[fold_name(record.went)] = record.went
        return list(names.values())

    # The log

    def post(self, data: bytes, author: Seat, post_id: int) -> None:
        """Note a post, whose entry is `data`."""
        record = self._append(Record(data))
        record.author, record.id = author.number, post_id
        record.awaited = len(self.present) - (author.number in self.present)
        author.own = self.last

    def _append(self, record: Record) -> Record:
        self.last += 1
        self.log[self.last] = record
        self._bytes += len(record.data)
        self._fresh += len(record.data)
        self._packs.clear()
        rules = self.rules
        while len(self.log) > rules.log or (self._bytes > rules.log_bytes and len(self.log) > 1):
            self._bytes -= len(self.log.pop(self.first).data)
            self.first += 1
        return record

    @property
    def should_flush(self) -> bool:
        """Whether new entries must be offered to all before there are more of them."""
        rules = self.rules
        enough = min(FLUSH, max(1, rules.log // 2))
        return self.last - self.flushed >= enough or 4 * self._fresh >= rules.log_bytes

    def note_flushed(self) -> None:
        """Note that all entries were offered to all."""
        self.flushed = self.last
        self._fresh = 0

    def overrun(self) -> list[Seat]:
        """Give who is so far behind that the log has lost what it needs next."""
        return [seat for seat in self.behind.values() if seat.sent < self.first - 1]

    def before_posts(self, count: int) -> int:
        """Give the number before the last `count` posts, as far as they are kept."""
        number = self.last
        if not count:
            return number
        for number in range(self.last, self.first - 1, -1):
            count -= bool(self.log[number].author)
            if not count:
                return number - 1
        return self.first - 1

    def packs(self, seat: Seat) -> Iterator[tuple[int, bytes]]:
        """Give the LOG messages that come next for a reader, and the number that each ends with."""
        after = seat.sent
        if seat.own > after:
            return self._pack(after, seat.number)
        if after != self.flushed:
            return self._pack(after, 0)
        packs = self._packs.get(after)
        if packs is None:
            packs = self._packs[after] = list(self._pack(after, 0))
        return iter(packs)

    def _pack(self, after: int, author: int) -> Iterator[tuple[int, bytes]]:
        """Pack the entries after a number for a reader who may be the author of some."""
        entries: list[bytes] = []
        size = LOG_HEADER_SIZE
        for number in range(after + 1, self.last + 1):
            record = self.log[number]
            data = record.data
            if author and record.author == author:
                data = Taken(record.id).encode()
            if entries and size + len(data) > PACK:
                yield number - 1, encode_log(after + 1, entries)
                after, entries, size = number - 1, [], LOG_HEADER_SIZE
            entries.append(data)
            size += len(data)
        if entries:
            yield self.last, encode_log(after + 1, entries)

    # Acknowledgements

    def count(self, seat: Seat, number: int) -> list[int]:
        """Note that somebody has all up to `number`; give the authors of what it has of new posts.

        An author may be named more than once, and may be gone.
        """
        authors = []
        log, reader = self.log, seat.number
        for place in range(max(seat.counted + 1, self.first), number + 1):
            record = log[place]
            author = record.author
            if author and author != reader:
                record.acknowledged += 1
                record.awaited -= 1
                if self._tell(record):
                    authors.append(author)
        seat.counted = max(seat.counted, number)
        return authors

    def _give_up_on(self, seat: Seat) -> list[int]:
        """Await no more acknowledgements of somebody; give the authors who did."""
        authors = []
        for place in range(max(seat.counted + 1, self.first), self.last + 1):
            record = self.log[place]
            if record.author and record.author != seat.number:
                record.awaited -= 1
                if self._tell(record):
                    authors.append(record.author)
        seat.counted = self.last
        return authors

    def _tell(self, record: Record) -> bool:
        """Have an author told of its post, if it is still there."""
        author = self.present.get(record.author)
        if author is None:
            return False
        author.news[record.id] = (record.acknowledged, record.awaited)
        if len(author.news) > self.rules.log:
            del author.news[next(iter(author.news))]
        return True

    @property
    def has_news(self) -> bool:
        """Whether an author is to be told of acknowledgements."""
        return any(seat.news for seat in self.present.values())

    # Exploration

    def clone(self, seats: dict[int, Seat]) -> Room:
        """Give an independent twin for the twins of the seats."""
        twin = copy_slots(self)
        twin.present = {number: seats[number] for number in self.present}
        twin.behind = {number: seats[number] for number in self.behind}
        twin.absent = {number: seats[number] for number in self.absent}
        twin.guests = {number: seat.clone() for number, seat in self.guests.items()}
        everybody = {**seats, **twin.guests}
        twin.names = {name: everybody[seat.number] for name, seat in self.names.items()}
        twin.log = {number: copy_slots(record) for number, record in self.log.items()}
        twin.waiting = self.waiting.copy()
        twin._packs = {}
        return twin

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return (
            *(self.name, self.first, self.last, self.flushed, self.stalled, self.held),
            tuple(self.waiting),
            *(tuple(self.present), tuple(self.behind), tuple(self.absent), tuple(self.guests)),
            tuple(
                (one.data, one.author, one.id, one.acknowledged, one.awaited)
                for one in self.log.values()
            ),
        )
