"""What can be typed at `palaver peer`."""

from __future__ import annotations

from typing import Final

HELP: Final = """\
list                 who is there
connect ID or NAME   ask somebody for a conversation
accept [WHO]         take the call that rings
reject [WHO] [WHY]   turn it down
send MESSAGE         say something in the current conversation
use WHO              make another conversation the current one
terminate [WHO]      end a conversation, or your own call
leave                end everything, tell the registry, and quit"""


def explain_unknown(text: str, *, to_say: bool) -> str:
    """Say what to type instead of what is no command: likely it was meant `to_say` something."""
    text = text.strip()
    begin = text if len(text) <= 40 else f"{text[:37]}..."
    also = f', or "send {begin}" to say it' if to_say else ""
    return f'there is no command "{text.partition(" ")[0][:40]}": type "help"{also}'
