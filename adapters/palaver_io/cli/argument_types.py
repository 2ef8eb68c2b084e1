"""What the arguments on the command line may be. Each of these raises ArgumentTypeError."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from palaver import UsageError
from palaver.wire.duo import check_name
from palaver_io.addresses import parse_address


def take_checked(check: Callable[[str], str], text: str) -> str:
    """Take a name without spaces around it as `check` gives it, which raises UsageError."""
    try:
        return check(text.strip())
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def take_name(text: str) -> str:
    """Take a display name, without spaces around it."""
    name = text.strip()
    try:
        check_name(name)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def take_address(text: str) -> tuple[str, int]:
    """Take HOST:PORT apart."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def take_chance(text: str) -> float:
    """Take a chance: 0.2, or 20%."""
    is_percentage = text.endswith("%")
    number = _number(text.removesuffix("%").strip())
    chance = number / 100 if is_percentage else number
    if chance > 1 and not is_percentage:
        raise argparse.ArgumentTypeError(f"a chance is at most 1; did you mean {text}%?")
    if not 0 <= chance <= 1:
        raise argparse.ArgumentTypeError(f"a chance is from 0 to 1, or from 0% to 100%, not {text}")
    return chance


def take_seconds(text: str) -> float:
    """Take a length of time in seconds."""
    number = _number(text)
    if not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError(f"seconds must be above 0 and at most 1000000, not {text}")
    return number


def take_dead_after(text: str) -> float:
    """Take a time after which silence means death."""
    number = take_seconds(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"less than a second is no time to answer: {text}")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def take_count(text: str) -> int:
    """Take a number of conversations."""
    number = _integer(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"it must be from 1 to 65535, not {number}")
    return number


def take_many(text: str) -> int:
    """Take a number of runs or datagrams."""
    number = _integer(text)
    if not 1 <= number <= 10**9:
        raise argparse.ArgumentTypeError(f"it must be from 1 to 1000000000, not {number}")
    return number


def take_seed(text: str) -> int:
    """Take a seed of the fault injector."""
    number = _integer(text)
    if not 0 <= number < 1 << 64:
        raise argparse.ArgumentTypeError(f"it must be from 0 to 2^64 - 1, not {number}")
    return number
