"""What the prober does not yet do as the catalogue has it."""

from __future__ import annotations

#: Name of an oddity → what is wrong. A test fails too when one of these comes out right.
KNOWN_FAULTS = {
    "our-own-name": "row 19: our own name in the greeting is not looked for",
    "our-own-name-again": "row 19: our own name in the reply to EHLO is not looked for",
    "closes-at-ehlo": "row 61: no new connection that begins with HELO",
    "loses-the-tail": "row 82: no new connection without pipelining",
    "refuses-groups": "row 82: a 500 to a group is taken for an answer to the recipient",
    "loses-one": "rows 82, 83: of a group that is short of replies those that came are believed, "
    "so a living mailbox gets the no of another",
    "hardens": "row 100: who was accepted before an exchanger began to refuse everybody in vague "
    "words vouches for these refusals",
}

#: Name of an oddity → why a session with it makes us hold more than it may.
HOLDS_TOO_MUCH = {
    "wordy": "row 36: every reply to a recipient is kept whole, 32 KiB each",
}
