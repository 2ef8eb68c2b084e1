"""Who is there: the table of a registry, without any links (PROTOCOL.md, section 6.4).

A name belongs to one entry at a time. Whoever was entered once can prove that by a token, which
the table can check without remembering it: a keyed hash of id and name. An entry without a link is
*kept*: it is of an owner that was there before the registry was restarted, and waits for a while
for nobody else. Each operation takes the same time however many entries there are, but for a
search in a sorted list of shelves (`registry_ids`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2s
from struct import Struct, error
from zlib import crc32

from palaver.machine import Address, UsageError, copy_slots
from palaver.wire.names import MAX_NAME, fold_name
from palaver.wire.registry import MAX_ID, TOKEN_SIZE

from .registry_ids import SortedIds

SECRET_SIZE = 32

_HEAD = Struct("!8s32sIQ")
_ENTRY = Struct("!IB")
_MARK = b"palaver1"
_NOWHERE: Address = ("", 0)
_FOREVER = float("inf")


class Row:
    """One who is there; or, with `link` 0, one that was and whose name is kept."""

    __slots__ = ("address", "id", "link", "name", "since")

    def __init__(self, number: int, name: str, address: Address, link: int, since: float) -> None:
        self.id = number
        self.name = name
        self.address = address
        self.link = link
        self.since = since


class RegistryTable:
    """Entries by id and by name. `secret` (32 bytes) makes the tokens.

    Names must be clean (`clean_name`); those that fold to the same are the same.
    """

    __slots__ = ("_by_id", "_by_name", "_ids", "_kept", "_secret", "next_id")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._by_id: dict[int, Row] = {}
        self._by_name: dict[str, Row] = {}
        # The ids of those that are there.
        self._ids = SortedIds()
        # Entries without a link and until when they are kept, soonest first.
        # (A plain dict is slow to find its first entry when others before it were deleted.)
        self._kept: OrderedDict[int, float] = OrderedDict()
        self.next_id = 1

    # Getters

    def __len__(self) -> int:
        """Give how many entries there are, kept ones included."""
        return len(self._by_id)

    @property
    def kept(self) -> int:
        """How many of them are kept."""
        return len(self._kept)

    @property
    def deadline(self) -> float:
        """When `expire` has something to do; infinity for never."""
        return next(iter(self._kept.values())) if self._kept else _FOREVER

    def by_id(self, number: int) -> Row | None:
        """Give who is there under an id."""
        entry = self._by_id.get(number)
        return entry if entry is not None and entry.link else None

    def by_name(self, name: str) -> Row | None:
        """Give who is there under a name."""
        entry = self.holder(name)
        return entry if entry is not None and entry.link else None

    def holder(self, name: str) -> Row | None:
        """Give the entry that has a name, there or kept."""
        return self._by_name.get(fold_name(name))

    def above(self, number: int) -> Iterator[Row]:
        """Give who is there with an id above `number`, by rising id."""
        return map(self._by_id.__getitem__, self._ids.above(number))

    def token(self, number: int, name: str) -> bytes:
        """Give what proves that one was entered with this id and name."""
        text = number.to_bytes(4, "big") + fold_name(name).encode()
        return blake2s(text, key=self._secret, digest_size=TOKEN_SIZE).digest()

    def proves(self, number: int, token: bytes, name: str) -> bool:
        """Tell whether a token is that of this id and name."""
        return number != 0 and token == self.token(number, name)

    def owns(self, number: int, token: bytes, name: str) -> bool:
        """Tell whether one may have this id, by its token.

        Not if somebody else has it, who got it because a registry that broke off had not kept
        who was there last.
        """
        if not self.proves(number, token, name):
            return False
        entry = self._by_id.get(number)
        return entry is None or fold_name(entry.name) == fold_name(name)

    # Mutators

    def enter(self, name: str, address: Address, link: int, now: float, number: int = 0) -> Row:
        """Enter a name that nobody has, under a fresh id; or under `number`, if that is proved.

        Raises UsageError if the name is taken or no id is left.
        """
        key = fold_name(name)
        if key in self._by_name or number in self._by_id:
            raise UsageError(f"the name {name!r} or the id {number} is taken")
        if not number:
            number = self.next_id
        if number > MAX_ID:
            raise UsageError("no id is left")
        self.next_id = max(self.next_id, number + 1)
        entry = Row(number, name, address, link, now)
        self._by_id[number] = entry
        self._by_name[name if key == name else key] = entry
        if link:
            self._ids.add(number)
        return entry

    def hand_over(self, entry: Row, name: str, address: Address, link: int, now: float) -> None:
        """Give an entry to its owner, who is on another link now and may spell it otherwise."""
        if not entry.link:
            entry.since = now
            del self._kept[entry.id]
            self._ids.add(entry.id)
        entry.name, entry.address, entry.link = name, address, link

    def erase(self, number: int) -> Row | None:
        """Take an entry away, and give it."""
        entry = self._by_id.pop(number, None)
        if entry is not None:
            del self._by_name[fold_name(entry.name)]
            if entry.link:
                self._ids.remove(number)
            else:
                del self._kept[number]
        return entry

    def expire(self, now: float) -> None:
        """Forget the kept entries whose owners have not come in time."""
        while self.deadline <= now:
            self.erase(next(iter(self._kept)))

    # Across a restart

    def snapshot(self, reserve: int = 0) -> bytes:
        """Give the table, without links and addresses, for `restore`.

        Its successor gives none of the next `reserve` ids to anybody new: they may be given out
        before there is another snapshot.
        """
        next_id = min(self.next_id + reserve, MAX_ID + 1)
        parts = [_HEAD.pack(_MARK, self._secret, next_id & MAX_ID, len(self._by_id))]
        for entry in self._by_id.values():
            name = entry.name.encode()
            parts += [_ENTRY.pack(entry.id, len(name)), name]
        data = b"".join(parts)
        return data + crc32(data).to_bytes(4, "big")

    @staticmethod
    def restore(data: bytes) -> RegistryTable:
        """Give the table of a snapshot; all its entries are kept, until `keep_until` says.

        Raises UsageError if it is damaged, or none.
        """
        body, tag = data[:-4], data[-4:]
        if crc32(body).to_bytes(4, "big") != tag or not body.startswith(_MARK):
            raise UsageError("this is no snapshot of a registry, or it is damaged")
        try:
            return _read(body)
        except (error, IndexError, UnicodeDecodeError, UsageError) as exc:
            raise UsageError(f"the snapshot of a registry makes no sense: {exc}") from None

    def keep_until(self, until: float) -> None:
        """Say until when all kept entries are kept."""
        for number in self._kept:
            self._kept[number] = until

    def _keep(self, number: int, name: str) -> None:
        # What characters are in it doesn't matter: it is shown to nobody, and which ones a name may
        # have depends on the version of Unicode.
        if not number or not 0 < len(name.encode()) <= MAX_NAME:
            raise UsageError(f"there can't be an entry {number}, {name!r}")
        self.enter(name, _NOWHERE, 0, 0.0, number)
        self._kept[number] = _FOREVER

    # Exploration

    def clone(self) -> RegistryTable:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin._by_id = {number: copy_slots(entry) for number, entry in self._by_id.items()}
        twin._by_name = {key: twin._by_id[entry.id] for key, entry in self._by_name.items()}
        twin._ids = self._ids.clone()
        twin._kept = self._kept.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        entries = sorted(
            (entry.id, entry.name, entry.address, entry.link, entry.since - now)
            for entry in self._by_id.values()
        )
        kept = tuple((number, until - now) for number, until in self._kept.items())
        return (self._secret, self.next_id, tuple(entries), kept)


def _read(body: bytes) -> RegistryTable:
    _, secret, next_id, count = _HEAD.unpack_from(body)
    table = RegistryTable(secret)
    at = _HEAD.size
    for _ in range(count):
        number, size = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size + size
        table._keep(number, body[at - size : at].decode())
    if at != len(body):
        raise UsageError("it is longer than its entries")
    # 0 stands for "none is left".
    table.next_id = max(next_id or MAX_ID + 1, table.next_id)
    return table
