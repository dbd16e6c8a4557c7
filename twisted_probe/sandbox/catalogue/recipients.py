"""Chapter G, what is said to MAIL and RCPT: codes, words, limits, and changes of mind.

Knows tempers and what should come of them.
"""

from __future__ import annotations

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Says
from twisted_probe.sandbox.catalogue.oddity import Oddity, ordinary
from twisted_probe.sandbox.habits import (
    AlwaysSays,
    Blocks,
    Greylists,
    LimitsErrors,
    LimitsRecipients,
    Tarpits,
)
from twisted_probe.sandbox.quirks import TurnsAfter
from twisted_probe.vocabulary.outcome import Reason

#: Seconds that a new triplet waits; a test's ladder has to be longer.
GREYLIST_DELAY = 0.5


def _to_all(name: str, row: int, reply: Says, reason: Reason, words: str = "") -> Oddity:
    """One that says the same to every recipient, the living too."""
    return Oddity(
        name=name,
        words=words or f"says {str(reply)[:3]} to every recipient",
        rows=(row,),
        temper=ordinary(accepted=reply, unknown=reply),
        alive=reason,
    )


def _to_strangers(name: str, row: int, reply: Says, reason: Reason, words: str) -> Oddity:
    """One where nobody lives, whoever is asked for."""
    return Oddity(
        name=name,
        words=words,
        rows=(row,),
        temper=ordinary(mailboxes={}, unknown=reply),
        unknown=reason,
        asks=("nobody", "nemo"),
    )


def _of_unknown(name: str, row: int, reply: Says, reason: Reason, words: str) -> Oddity:
    """One that says this of those who are not there."""
    return Oddity(
        name=name,
        words=words,
        rows=(row,),
        temper=ordinary(unknown=reply),
        unknown=reason,
    )


ODDITIES = (
    Oddity(
        name="forwards",
        words="says 251 to those it takes",
        rows=(91,),
        temper=ordinary(accepted="251 2.1.5 User not local; will forward"),
    ),
    Oddity(
        name="will-not-say",
        words="says 252 to everybody",
        rows=(92,),
        temper=ordinary(unknown=None, accepted="252 2.5.2 Cannot VRFY user, but will accept"),
        alive=Reason.UNCONFIRMED,
    ),
    _to_all("busy", 93, "450 4.2.1 The mailbox is busy", Reason.TEMPORARY),
    Oddity(
        name="greylists",
        words="takes a triplet of client, reverse-path and recipient the second time only",
        rows=(94,),
        temper=ordinary(habits=(Greylists(GREYLIST_DELAY),)),
    ),
    _to_all("local-error", 95, "451 4.3.0 Local error in processing", Reason.TEMPORARY),
    Oddity(
        name="full",
        words="says 452 4.2.2 to those who live there: over quota",
        rows=(96,),
        temper=ordinary(accepted=tempers.FULL),
        alive=Reason.MAILBOX_FULL,
        unknown=Reason.NO_SUCH_MAILBOX,
    ),
    Oddity(
        name="full-for-good",
        words="says 552 5.2.2 to those who live there: over quota",
        rows=(96,),
        temper=ordinary(accepted="552 5.2.2 <{recipient}>: Mailbox is over quota"),
        alive=Reason.MAILBOX_FULL,
        unknown=Reason.NO_SUCH_MAILBOX,
    ),
    Oddity(
        name="one-at-a-time",
        words="takes one recipient of a transaction, then says 452 4.5.3",
        rows=(97,),
        temper=ordinary(habits=(LimitsRecipients(1),)),
        asks=("ann", "ben", "nobody"),
    ),
    Oddity(
        name="two-at-a-time",
        words="takes two recipients of a transaction, then says 552 without an enhanced code",
        rows=(97,),
        temper=ordinary(habits=(LimitsRecipients(2, "552 Too many recipients"),)),
        asks=("ann", "ben", "carl", "nobody"),
    ),
    _to_all("closes-at-rcpt", 98, "421 4.3.0 {host} closing", Reason.TEMPORARY),
    _of_unknown(
        "says-no-user", 99, "550 5.1.1 User unknown", Reason.NO_SUCH_MAILBOX, "says 550 5.1.1"
    ),
    Oddity(
        name="vague",
        words="refuses everybody with the same 550 that says nothing",
        rows=(100,),
        temper=tempers.vague(),
        alive=Reason.REJECTS_EVERYONE,
    ),
    _of_unknown(
        "vague-of-unknown",
        100,
        "550 Rejected",
        Reason.NO_SUCH_MAILBOX,
        "refuses those it does not know with a 550 that says nothing",
    ),
    Oddity(
        name="listed-at-rcpt",
        words="refuses every recipient in the words of a block list",
        rows=(101,),
        temper=ordinary(accepted=Blocks(frozenset()).says, unknown=Blocks(frozenset()).says),
        alive=Reason.BLOCKLISTED,
    ),
    _to_all(
        "listed-as-unknown",
        102,
        "550 5.1.1 <{recipient}>: rejected, [{client}] is listed at bl.spamcop.net",
        Reason.BLOCKLISTED,
        "says 550 5.1.1 to every recipient, in the words of a block list",
    ),
    _to_all(
        "spf-refused",
        103,
        "550 5.7.23 SPF validation failed for {sender}",
        Reason.SENDER_REFUSED,
        "says 550 5.7.23 to every recipient: our reverse-path fails SPF",
    ),
    _of_unknown(
        "disabled", 104, tempers.DISABLED, Reason.MAILBOX_DISABLED, "says 550 5.2.1: disabled"
    ),
    _of_unknown(
        "moved",
        105,
        "551 5.1.6 User not local; please try <new@example.net>",
        Reason.NO_SUCH_MAILBOX,
        "says 551 of those who have moved, and where to",
    ),
    _of_unknown(
        "bad-form",
        106,
        "553 5.1.3 <{recipient}>: Bad recipient address syntax",
        Reason.INVALID_ADDRESS,
        "says 553 5.1.3: the form of the address is wrong",
    ),
    _to_strangers(
        "relay-denied",
        107,
        "554 5.7.1 <{recipient}>: Relay access denied",
        Reason.RELAY_DENIED,
        "does not serve the domain that points to it: relay denied to everybody",
    ),
    _to_strangers(
        "no-mail-here",
        108,
        "556 5.1.10 Domain takes no mail",
        Reason.NO_MAIL,
        "says 556 to everybody: the domain takes no mail",
    ),
    _to_all("host-takes-no-mail", 108, "521 Host does not accept mail", Reason.TEMPORARY),
    Oddity(
        name="yes-in-words-of-no",
        words="says 250 in words of a refusal",
        rows=(109,),
        temper=ordinary(accepted="250 2.1.5 <{recipient}>: User unknown, rejected"),
    ),
    Oddity(
        name="forgets-mail",
        words="takes MAIL, and says 503 to every recipient: need MAIL first",
        rows=(110,),
        temper=ordinary(habits=(AlwaysSays("RCPT", "503 5.5.1 Error: need MAIL command"),)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    _to_all("wants-a-password", 111, "530 5.7.0 Authentication required", Reason.SENDER_REFUSED),
    Oddity(
        name="takes-everybody",
        words="says 250 to everybody",
        rows=(90, 112),
        temper=tempers.catch_all(),
        alive=Reason.CATCH_ALL,
    ),
    Oddity(
        name="tarpit",
        words="lets time pass before every reply, less than the patience of a command",
        rows=(114,),
        temper=ordinary(habits=(Tarpits(0.3),)),
    ),
    Oddity(
        name="error-limit",
        words="slows down from the second error on, and says 421 to the fourth",
        rows=(115,),
        temper=ordinary(habits=(LimitsErrors(soft=2, hard=3, pause=0.1),)),
        asks=("ann", "one", "two", "three", "four", "five", "ben"),
    ),
    Oddity(
        name="refuses-our-sender",
        words="refuses our reverse-path",
        rows=(117,),
        temper=tempers.sender_refusing(),
        alive=Reason.SENDER_REFUSED,
    ),
    Oddity(
        name="listed-at-mail",
        words="refuses MAIL in the words of a block list",
        rows=(118,),
        temper=ordinary(mail=Blocks(frozenset()).says),
        alive=Reason.BLOCKLISTED,
    ),
    Oddity(
        name="softens",
        words="takes everybody after the second recipient of a session",
        rows=(112,),
        temper=ordinary(habits=(TurnsAfter(2, "250 2.1.5 Ok"),)),
        alive=Reason.CATCH_ALL,
        unknown=Reason.NO_SUCH_MAILBOX,
    ),
    Oddity(
        name="hardens",
        words="refuses everybody after the first recipient of a session, in words that say nothing",
        rows=(100,),
        temper=ordinary(habits=(TurnsAfter(1, "550 Rejected"),)),
        alive=(Reason.ACCEPTED, Reason.POLICY, Reason.REJECTS_EVERYONE, Reason.UNCONFIRMED),
        unknown=(Reason.POLICY, Reason.REJECTS_EVERYONE, Reason.NO_SUCH_MAILBOX),
        asks=("ann", "ben", "nobody"),
    ),
    Oddity(
        name="loses-patience",
        words="says 550 5.7.1 to everybody after the second recipient: too many unknown users",
        rows=(115, 116),
        temper=ordinary(
            habits=(TurnsAfter(2, "550 5.7.1 Too many unknown recipients from {client}"),)
        ),
        alive=(Reason.ACCEPTED, Reason.UNCONFIRMED, Reason.RATE_LIMITED),
        asks=("ann", "nobody", "ben"),
    ),
)
