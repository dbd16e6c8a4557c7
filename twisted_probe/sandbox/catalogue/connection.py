"""Chapter C, the life of a connection: how it ends too early, or stands and says nothing.

Knows tempers and what should come of them.
"""

from __future__ import annotations

from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue.oddity import Oddity, ordinary
from twisted_probe.sandbox.habits import AlwaysSays, DropsAfter, LimitsRecipients
from twisted_probe.sandbox.quirks import FallsSilent, SaysMore
from twisted_probe.vocabulary.outcome import Reason

#: Taken, but the random recipient may never be answered.
_TAKEN = (Reason.ACCEPTED, Reason.UNCONFIRMED)


def _drops(name: str, words: str, row: int, commands: int, then: Then) -> Oddity:
    return Oddity(
        name=name,
        words=words,
        rows=(row,),
        temper=ordinary(habits=(DropsAfter(commands, then),)),
        alive=Reason.CONNECTION_LOST,
    )


def _silent(name: str, verb: str) -> Oddity:
    return Oddity(
        name=name,
        words=f"never answers {verb}",
        rows=(49,),
        temper=ordinary(habits=(FallsSilent(verb),)),
        alive=Reason.TIMEOUT,
    )


ODDITIES = (
    Oddity(
        name="resets-at-once",
        words="resets the connection in place of a greeting",
        rows=(40,),
        temper=ordinary(greeting=Answer(then=Then.ABORT)),
        alive=Reason.CONNECTION_LOST,
    ),
    Oddity(
        name="closes-at-once",
        words="closes the connection in place of a greeting",
        rows=(40, 45),
        temper=ordinary(greeting=Answer(then=Then.CLOSE)),
        alive=Reason.CONNECTION_LOST,
    ),
    _drops("closes-after-greeting", "greets and closes", 41, 0, Then.CLOSE),
    _drops("resets-after-ehlo", "answers EHLO and resets", 41, 1, Then.ABORT),
    _drops("closes-after-mail", "answers MAIL and closes", 41, 2, Then.CLOSE),
    _drops("resets-after-mail", "answers MAIL and resets", 42, 2, Then.ABORT),
    Oddity(
        name="closes-after-one",
        words="answers one recipient of a session and closes",
        rows=(42,),
        temper=ordinary(habits=(DropsAfter(3),)),
        alive=_TAKEN,
    ),
    Oddity(
        name="resets-after-one",
        words="answers one recipient of a session and resets",
        rows=(42,),
        # A reset takes along what has not arrived and was not read yet.
        temper=ordinary(habits=(DropsAfter(3, Then.ABORT, Answer(delay=0.5)),)),
        alive=_TAKEN,
    ),
    Oddity(
        name="half-a-line",
        words="sends half a reply to a recipient and closes",
        rows=(43,),
        temper=ordinary(
            habits=(AlwaysSays("RCPT", Answer(raw=(b"250 2.1.5 O",), then=Then.CLOSE)),)
        ),
        alive=Reason.CONNECTION_LOST,
    ),
    Oddity(
        name="half-a-reply",
        words="sends the first line of two and closes",
        rows=(44,),
        temper=ordinary(
            habits=(AlwaysSays("RCPT", Answer(raw=(b"550-5.1.1 User\r\n",), then=Then.CLOSE)),)
        ),
        alive=Reason.CONNECTION_LOST,
    ),
    Oddity(
        name="refuses-and-closes",
        words="closes behind every recipient that it does not know",
        rows=(46,),
        temper=ordinary(unknown=Answer("550 5.1.1 User unknown", then=Then.CLOSE)),
        asks=("nobody", "ann", "nemo"),
    ),
    Oddity(
        name="closes-in-mid-pipeline",
        words="answers one recipient of a session and says 421",
        rows=(47,),
        temper=ordinary(habits=(DropsAfter(3, says="421 4.3.2 {host} shutting down"),)),
        alive=_TAKEN,
    ),
    Oddity(
        name="closes-when-idle",
        words="says 421 unasked behind the reply to a recipient that it does not know",
        rows=(48,),
        temper=ordinary(
            unknown=Answer("550 5.1.1 User unknown", then=Then.CLOSE),
            habits=(SaysMore("RCPT", (b"421 4.4.2 idle for too long\r\n",), code=550),),
        ),
    ),
    _silent("silent-ehlo", "EHLO"),
    _silent("silent-mail", "MAIL"),
    _silent("silent-rcpt", "RCPT"),
    Oddity(
        name="silent-rset",
        words="takes one recipient of a transaction, and never answers RSET",
        rows=(49, 97),
        temper=ordinary(habits=(LimitsRecipients(1), FallsSilent("RSET"))),
    ),
    Oddity(
        name="never-reads",
        words="greets and reads no more",
        rows=(50,),
        temper=ordinary(greeting=Answer("220 {host} ESMTP", then=Then.DEAF)),
        alive=Reason.TIMEOUT,
    ),
    Oddity(
        name="silent-quit",
        words="never answers QUIT",
        rows=(51,),
        temper=ordinary(habits=(FallsSilent("QUIT"),)),
    ),
    Oddity(
        name="stays-after-quit",
        words="answers QUIT and leaves the connection open",
        rows=(51,),
        temper=ordinary(habits=(AlwaysSays("QUIT", Answer(raw=(b"221 2.0.0 Bye\r\n",))),)),
    ),
    Oddity(
        name="resets-at-quit",
        words="answers QUIT with a reset",
        rows=(59,),
        temper=ordinary(habits=(AlwaysSays("QUIT", Answer(then=Then.ABORT)),)),
    ),
)
