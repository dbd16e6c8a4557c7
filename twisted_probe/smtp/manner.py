"""The manner in which one exchanger is best talked to, as far as sessions have shown it.

Knows a few settings, as a value that can be kept from session to session; not how they were
learned (`smtp.conversation`) nor for how long they hold (`routing`).
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Manner:
    """What to do and what to leave; the defaults are for an exchanger that nobody knows.

    `extended`: begin with EHLO; false for one that hangs up on it. `pipelining`: send commands
    in groups where that is offered; false for one that offers it and breaks. `starttls`: begin
    TLS where that is offered; false for one whose handshakes fail. `goodbye`: trust the 221 to
    QUIT to show that the replies are in order; false for one that has ended a session without it
    and left doubts, and has to say its name once more. `reset`: end a transaction with RSET;
    false for one that refuses it, and gets EHLO. `error_limit`: the
    rejections of one session from which on it punishes, and `recipients_per_transaction`: as
    many as it takes; None while no session has met either.
    """

    extended: bool = True
    pipelining: bool = True
    starttls: bool = True
    goodbye: bool = True
    reset: bool = True
    error_limit: int | None = None
    recipients_per_transaction: int | None = None


#: That of an exchanger that nobody knows.
UNKNOWN_MANNER = Manner()
