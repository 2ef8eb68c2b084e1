"""Bugs of conversations of two, above all of calls that have crossed."""

from __future__ import annotations

from .mutant import Mutant

DUOS = (
    Mutant(
        "yes-to-anybody",
        "duo",
        "roles/crossing.py",
        "                if prove_twins(held.ids, talk.ids) == proof:\n",
        "                if proof:\n",
        "yes is said only to the proof of this link",
        "M-8",
    ),
    Mutant(
        "one-yes-is-enough",
        "duo",
        "roles/crossing.py",
        "        if doubt is Doubt.AFFIRMED:\n",
        "        if doubt is not Doubt.CALLING:\n",
        "two links become one only when both sides have said yes",
        "M-9",
    ),
    Mutant(
        "no-means-yes",
        "duo",
        "roles/crossing.py",
        "        if not yes:\n"
        "            self._rule_out(held, talk.number, now, out)\n"
        "        elif",
        "        if",
        "who is told no has not found the twin",
        "M-9",
    ),
    Mutant(
        "both-spare",
        "duo",
        "roles/crossing.py",
        "talk.is_spare = held.ids.caller < talk.ids.caller",
        "talk.is_spare = True",
        "of two links both sides keep the one with the lower caller id",
        "M-10",
    ),
    Mutant(
        "spare-left-too-early",
        "duo",
        "roles/twins.py",
        "            and self.texts == 0\n",
        "",
        "texts go by the kept link once all was delivered on the spare",
        "M-10",
    ),
    Mutant(
        "never-stops-for-breath",
        "duo",
        "roles/crossing.py",
        "            talk.drain_at = now + self._timing.twin_drain\n",
        "            talk.drain_at = _FOREVER\n",
        "a sender on the spare waits, 3 s after the links became one",
        "M-10",
    ),
    Mutant(
        "leaves-one-of-two",
        "duo",
        "roles/duo.py",
        "        for link in talk.links:\n",
        "        for link in talk.links[:1]:\n",
        "an end that the program wants is told on both links",
        "M-11",
    ),
    Mutant(
        "held-for-ever",
        "duo",
        "roles/crossing.py",
        "            if held.until <= now:\n                self._announce",
        "            if held.until <= now and held.bound:\n                self._announce",
        "a caller is held for 4 s at most",
        "M-12",
    ),
    Mutant(
        "held-texts-lost",
        "duo",
        "roles/crossing.py",
        "        out.extend(held.untold)\n",
        "        out.extend(held.untold[:1])\n",
        "the program is told all that came while a caller was held",
        "M-12",
    ),
    Mutant(
        "twin-takes-a-place",
        "duo",
        "roles/talks.py",
        "self._endpoint.max_inbound = self._places + len(self._twins)",
        "self._endpoint.max_inbound = self._places",
        "the twin of a call takes no place",
        "M-13",
    ),
)
