"""What an entry of the registry costs: memory, and the time of each operation, up to 1,000,000.

    python benchmarks/registry_table.py            # 1,000 to 1,000,000 entries
    python benchmarks/registry_table.py 100000     # up to 100,000

Each size gets a process of its own. Memory is what the process's resident size grows by while the
entries are made, with a name and an address of its own each; times are medians of batches, with the
garbage collector off. "few" asks for the same 1,000 entries in all sizes: these columns are what
the table does, and should be the same in all rows. "all" asks for entries from all over the table:
what is more there, and in "leave" and "expire", is what the computer takes to fetch what is in no
cache of the processor, several times for each entry (dictionary, entry, name, address); and
"register" makes its entries beside those that are there, in memory as far away.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from palaver.machine import Address
from palaver.roles.registry_table import RegistryTable

BATCHES = 9
BATCH = 500


def resident() -> int:
    """Give the bytes of memory that this process occupies (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def address_of(number: int) -> Address:
    """Give an address that no other number has."""
    return (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000)


def fill(size: int) -> tuple[RegistryTable, float]:
    """Give a table with that many entries, and the bytes that each takes."""
    table = RegistryTable(bytes(32))
    gc.collect()
    before = resident()
    for number in range(1, size + 1):
        table.enter(f"Person {number}", address_of(number), number, 0.0)
    gc.collect()
    return table, (resident() - before) / size


def microseconds(work: Callable[[int], object], first: int) -> float:
    """Give the median time of `work(number)` over batches of numbers from `first` on."""
    times = []
    for batch in range(BATCHES):
        start = first + batch * BATCH
        began = perf_counter()
        for number in range(start, start + BATCH):
            work(number)
        times.append((perf_counter() - began) / BATCH * 1e6)
    return median(times)


def measure_asking(
    table: RegistryTable, whom: str, which: Callable[[int], int]
) -> dict[str, float]:
    """Give the times of asking for entries that `which` picks."""
    return {
        f"id, {whom}": microseconds(lambda number: table.by_id(which(number)), 0),
        f"name, {whom}": microseconds(lambda number: table.by_name(f"person {which(number)}"), 0),
        f"page, {whom}": microseconds(
            lambda number: list(islice(table.above(which(number)), 20)), 0
        ),
    }


def measure(size: int) -> dict[str, float]:
    """Give the row for one size."""
    table, each = fill(size)
    count = BATCHES * BATCH
    stride = max(size // count, 1)

    def somebody(number: int) -> int:
        return (number * stride) % size + 1

    def one_of_few(number: int) -> int:
        return number * 7 % 1000 + 1

    gc.freeze()
    gc.disable()
    result = {"entries": size, "bytes": each}
    new = size + 1
    result["register"] = microseconds(
        lambda number: table.enter(f"New {number}", ("10.0.0.1", number % 60000), number, 1.0), new
    )
    result |= measure_asking(table, "few", one_of_few) | measure_asking(table, "all", somebody)
    result["prove"] = microseconds(lambda number: table.proves(7, bytes(16), f"New {number}"), 0)
    result["leave"] = microseconds(table.erase, new)
    kept = RegistryTable.restore(table.snapshot())
    kept.keep_until(60.0)
    began = perf_counter()
    kept.expire(60.0)
    result["expire"] = (perf_counter() - began) / size * 1e6
    return result


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        print(json.dumps(measure(most)))
        return
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= most]
    asked = [f"{what}, {some}" for some in ("few", "all") for what in ("id", "name", "page")]
    columns = ["register", "leave", "expire", "prove", *asked]
    print(f"{'entries':>9} {'bytes each':>10}  " + " ".join(f"{name:>10}" for name in columns))
    for size in sizes:
        command = [sys.executable, __file__, str(size), "one"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        row = json.loads(done.stdout)
        times = " ".join(f"{row[name]:>10.2f}" for name in columns)
        print(f"{size:>9,} {row['bytes']:>10.0f}  {times}")
    print("times in microseconds for one operation; a page has 20 entries")


if __name__ == "__main__":
    main()
