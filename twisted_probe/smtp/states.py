"""The legal order of a session (RFC 5321 section 4.1.4) as one table. Pure.

Knows which command may follow which and where an accepted one leads; not how anything is sent.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType


class State(Enum):
    """Where a session stands."""

    # A member is one object for ever; Enum's own hash is a Python function that hashes the name,
    # and the table is asked several times for each recipient.
    __hash__ = object.__hash__

    CONNECTED = "connected"  #: the connection stands; the greeting is awaited
    GREETED = "greeted"  #: the exchanger greeted us; we have not said who we are
    READY = "ready"  #: EHLO or HELO was accepted; no transaction is open
    TRANSACTION = "transaction"  #: MAIL was accepted; recipients may be asked
    DISMISSED = "dismissed"  #: the greeting said no, or a 421 came: nothing is left but QUIT
    CLOSED = "closed"  #: the connection has ended, or QUIT was sent


class Verb(Enum):
    """The commands that this prober says. GREETING stands for the reply that nobody asked for,
    LISTEN for waiting for one more without saying anything."""

    __hash__ = object.__hash__  # as State has it

    GREETING = "(greeting)"
    LISTEN = "(listen)"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    MAIL = "MAIL"
    RCPT = "RCPT"
    RSET = "RSET"
    NOOP = "NOOP"
    QUIT = "QUIT"
    OTHER = "(other)"


#: (state, verb) → the state that a 2xx reply leads to. A pair that is not here is not allowed.
#: Any other reply leaves the state as it was, except for those of `after`.
TABLE = MappingProxyType(
    {
        (State.CONNECTED, Verb.GREETING): State.GREETED,
        (State.GREETED, Verb.EHLO): State.READY,
        (State.GREETED, Verb.HELO): State.READY,
        (State.GREETED, Verb.RSET): State.GREETED,
        (State.GREETED, Verb.NOOP): State.GREETED,
        (State.GREETED, Verb.OTHER): State.GREETED,
        (State.GREETED, Verb.LISTEN): State.GREETED,
        (State.GREETED, Verb.QUIT): State.CLOSED,
        (State.READY, Verb.EHLO): State.READY,
        (State.READY, Verb.HELO): State.READY,
        # RFC 3207 section 4.2: behind the handshake all begins anew.
        (State.READY, Verb.STARTTLS): State.GREETED,
        (State.READY, Verb.MAIL): State.TRANSACTION,
        (State.READY, Verb.RSET): State.READY,
        (State.READY, Verb.NOOP): State.READY,
        (State.READY, Verb.OTHER): State.READY,
        (State.READY, Verb.LISTEN): State.READY,
        (State.READY, Verb.QUIT): State.CLOSED,
        (State.TRANSACTION, Verb.EHLO): State.READY,
        (State.TRANSACTION, Verb.HELO): State.READY,
        (State.TRANSACTION, Verb.RCPT): State.TRANSACTION,
        (State.TRANSACTION, Verb.RSET): State.READY,
        (State.TRANSACTION, Verb.NOOP): State.TRANSACTION,
        (State.TRANSACTION, Verb.OTHER): State.TRANSACTION,
        (State.TRANSACTION, Verb.LISTEN): State.TRANSACTION,
        (State.TRANSACTION, Verb.QUIT): State.CLOSED,
        (State.DISMISSED, Verb.QUIT): State.CLOSED,
    }
)

#: RFC 2920 section 3.1: other commands may only end a group of pipelined ones.
GROUPABLE = frozenset((Verb.MAIL, Verb.RCPT, Verb.RSET))

#: Those that say who we are.
INTRODUCTIONS = frozenset((Verb.EHLO, Verb.HELO))

#: RFC 5321 section 3.8: the exchanger closes the connection.
CLOSING = 421

#: A yes to something else: the help, the greeting, the goodbye. In the place of a yes to these
#: commands it shows that the replies are out of step.
FOREIGN = frozenset((211, 214, 220, 221))
#: RFC 5321 section 4.2.3: 251 and 252 speak of a recipient.
_OF_RCPT = FOREIGN | {251, 252}
_FOREIGN_TO = {
    Verb.EHLO: _OF_RCPT,
    Verb.HELO: _OF_RCPT,
    Verb.MAIL: _OF_RCPT,
    Verb.RSET: _OF_RCPT,
    Verb.RCPT: FOREIGN,
    # RFC 3207 section 4: the only yes is a 220.
    Verb.STARTTLS: frozenset(range(200, 300)) - {220},
}


def is_foreign(verb: Verb, code: int) -> bool:
    """Whether `code` cannot be the answer to `verb`."""
    return code in _FOREIGN_TO.get(verb, ())


def allows(state: State, verb: Verb) -> bool:
    """Whether `verb` may be said in `state`."""
    return (state, verb) in TABLE


def after(state: State, verb: Verb, code: int) -> State:
    """The state that a reply of `code` to `verb`, said in `state`, leads to."""
    if code == CLOSING:
        return State.DISMISSED
    if verb is Verb.QUIT:
        return State.CLOSED
    if code // 100 == 2:
        return TABLE.get((state, verb), state)
    return State.DISMISSED if verb is Verb.GREETING else state
