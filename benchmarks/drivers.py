"""What a message costs on real sockets: each driver beside bare sockets of the same style.

    python benchmarks/drivers.py

Two processes talk over loopback: texts of 64 bytes and of 1 KiB, one way as fast as they go, and
there and back one at a time. Printed are messages and round trips per second, and the processor
time that one takes at both ends together. All is measured in one run, which takes about a minute.

Beside Palaver's conversations stand bare UDP sockets in the same three styles, which promise
nothing: so that no buffer overflows, the sender has the receiver answer every 32nd message, and
lets no more than 64 be on their way. And asyncio's own streams over TCP, with a length before each
text. The ratio after each figure is to bare UDP of the same style, or to the streams; of rates
and of costs alike, 1.0 is as good and less is worse.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from driver_lines import BARE, STREAMS, STYLES, TCP, UDP, Line, answer, call, run

# What is measured, and with what it is compared: both by kind of line and style.
Key = tuple[str, str]
LINES: dict[Key, Key | None] = {
    **{(BARE, style): None for style in STYLES},
    **{(UDP, style): (BARE, style) for style in STYLES},
    (STREAMS, "asyncio"): None,
    **{(TCP, style): (STREAMS, "asyncio") for style in STYLES},
}
SIZES = (64, 1024)
PACE = 32  # bare datagrams that are sent before the receiver is asked to answer
LONGEST = 300.0  # seconds; then a process that still runs shows where, and ends

# The first letter of a text says what the peer is to do: count it; count it and answer; send it
# back; tell the count and the processor time so far; end.
COUNT, ANSWER, ECHO, TELL, END = "xaet."


@dataclass
class Figures:
    """What was measured with one size; costs in µs, of both ends."""

    sent_per_second: float = 0.0
    cost: float = float("inf")
    trips_per_second: float = 0.0
    trip_cost: float = float("inf")

    def keep(self, sent: tuple[float, float], trips: tuple[float, float]) -> None:
        """Keep the best: whatever else the machine does only makes things slower."""
        self.sent_per_second = max(self.sent_per_second, sent[0])
        self.cost = min(self.cost, sent[1])
        self.trips_per_second = max(self.trips_per_second, trips[0])
        self.trip_cost = min(self.trip_cost, trips[1])


# --- The peer, in a process of its own ------------------------------------------------------------


def be_peer(pipe: Connection, key: Key) -> None:
    """Answer one caller."""
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    run(key[1], serve(pipe, key))


async def serve(pipe: Connection, key: Key) -> None:
    """Do what the caller asks for, until the end."""
    async with answer(*key, pipe.send) as line:
        count = 0
        while (text := await line.receive())[0] != END:
            kind = text[0]
            if kind == COUNT:
                count += 1
            elif kind == ECHO:
                await line.send(text)
            elif kind == ANSWER:
                count += 1
                await line.send(kind)
            else:
                await line.send(f"{count} {time.process_time()}")
                count = 0


# --- The end that measures ------------------------------------------------------------------------


async def send_for(line: Line, size: int, seconds: float, *, paced: bool) -> tuple[float, float]:
    """Send as fast as possible; give messages per second and µs for each."""
    text, last = COUNT * size, (ANSWER if paced else COUNT) * size
    sent = answers = 0
    start = await tell(line)
    while time.perf_counter() - start.now < seconds:
        for _ in range(PACE - 1):
            await line.send(text)
        await line.send(last)
        sent += PACE
        if paced and sent > PACE:
            await line.receive()
            answers += 1
    for _ in range(sent // PACE - answers if paced else 0):
        await line.receive()
    end = await tell(line)
    if end.count != sent:
        raise SystemExit(f"{sent} messages were sent, and {end.count} counted")
    return end.since(start, sent)


async def echo_for(line: Line, size: int, seconds: float) -> tuple[float, float]:
    """Send one message at a time, and wait for it to come back; give the same."""
    text, trips = ECHO * size, 0
    start = await tell(line)
    while time.perf_counter() - start.now < seconds:
        await line.send(text)
        await line.receive()
        trips += 1
    return (await tell(line)).since(start, trips)


@dataclass
class Mark:
    """A moment: when it was, the processor time of both ends, and what the peer had counted."""

    now: float
    cpu: float
    count: int

    def since(self, start: Mark, count: int) -> tuple[float, float]:
        """Give how many per second there were, and the processor time of one in µs."""
        return count / (self.now - start.now), (self.cpu - start.cpu) / count * 1e6


async def tell(line: Line) -> Mark:
    """Ask the peer how far it is."""
    await line.send(TELL)
    count, cpu = (await line.receive()).split()
    return Mark(time.perf_counter(), time.process_time() + float(cpu), int(count))


async def measure(key: Key, port: int, seconds: float, figures: dict[int, Figures]) -> None:
    """Measure one line with each size."""
    paced = key[0] == BARE
    async with call(*key, port) as line:
        for size, best in figures.items():
            sent = await send_for(line, size, seconds, paced=paced)
            best.keep(sent, await echo_for(line, size, seconds))
        await line.send(END)


def measure_with_peer(key: Key, seconds: float, figures: dict[int, Figures]) -> None:
    """Start a peer, measure, and see the peer end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    peer = context.Process(target=be_peer, args=(theirs, key), daemon=True)
    peer.start()
    try:
        theirs.close()
        run(key[1], measure(key, ours.recv(), seconds, figures))
        peer.join(10)
        if peer.exitcode != 0:
            raise SystemExit(f"the peer of {key} did not end well: {peer.exitcode}")
    finally:
        peer.kill()
        peer.join()
        ours.close()


def show(size: int, figures: dict[Key, dict[int, Figures]]) -> None:
    """Print the figures for one size."""
    heads = ("one way/s", "µs each", "there and back/s", "µs each")
    print(f"\n{f'{size} bytes':<32}{heads[0]:>16}{heads[1]:>14}{heads[2]:>18}{heads[3]:>14}")
    for key, standard in LINES.items():
        if key not in figures:
            continue
        one = figures[key][size]
        cells = [
            f"{one.sent_per_second:,.0f}",
            f"{one.cost:.1f}",
            f"{one.trips_per_second:,.0f}",
            f"{one.trip_cost:.0f}",
        ]
        if standard in figures:
            two = figures[standard][size]
            ratios = [
                one.sent_per_second / two.sent_per_second,
                two.cost / one.cost,
                one.trips_per_second / two.trips_per_second,
                two.trip_cost / one.trip_cost,
            ]
            cells = [f"{cell} {ratio:5.2f}" for cell, ratio in zip(cells, ratios, strict=True)]
        else:
            cells = [f"{cell}      " for cell in cells]
        what, style = key
        print(f"{what:<22}{style:<10}{cells[0]:>16}{cells[1]:>14}{cells[2]:>18}{cells[3]:>14}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a message costs on real sockets.")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="of which the best counts")
    parser.add_argument(
        "--only", default="", help="lines with this in their name, as 'UDP asyncio'"
    )
    options = parser.parse_args()
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    keys = [key for key in LINES if options.only in " ".join(key)]
    figures = {key: {size: Figures() for size in SIZES} for key in keys}
    for _ in range(options.rounds):
        for key in keys:
            measure_with_peer(key, options.seconds, figures[key])
    for size in SIZES:
        show(size, figures)


if __name__ == "__main__":
    main()
