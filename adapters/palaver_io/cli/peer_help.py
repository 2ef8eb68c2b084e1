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
