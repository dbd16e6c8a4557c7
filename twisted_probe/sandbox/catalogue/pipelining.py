"""Chapter F, pipelining (RFC 2920): who offers it and breaks, and a MAIL that was refused.

Knows tempers and what should come of them.
"""

from __future__ import annotations

from twisted_probe.sandbox.catalogue.oddity import Oddity, ordinary
from twisted_probe.sandbox.habits import AlwaysSays, RefusesPipelining
from twisted_probe.sandbox.quirks import LosesEarly
from twisted_probe.vocabulary.outcome import Reason

_NOT_YOU = "550 5.7.1 <{sender}>: Sender address rejected: Access denied"

ODDITIES = (
    Oddity(
        name="no-pipelining",
        words="does not offer pipelining, and closes where it comes nevertheless",
        rows=(81, 88),
        temper=ordinary(keywords=("ENHANCEDSTATUSCODES",), habits=(RefusesPipelining(),)),
    ),
    Oddity(
        name="loses-the-tail",
        words="offers pipelining and hears the first command of a group only",
        rows=(82,),
        temper=ordinary(habits=(LosesEarly(),)),
    ),
    Oddity(
        name="refuses-groups",
        words="offers pipelining, and closes where it is made use of",
        rows=(82,),
        temper=ordinary(habits=(RefusesPipelining(),)),
    ),
    Oddity(
        name="loses-one",
        words="offers pipelining and loses one recipient of a group: the living get the no of "
        "another",
        rows=(82, 83),
        temper=ordinary(habits=(LosesEarly(0),)),
    ),
    Oddity(
        name="loses-the-last",
        words="offers pipelining and loses the last recipient of a group",
        rows=(83,),
        temper=ordinary(habits=(LosesEarly(1),)),
    ),
    Oddity(
        name="no-to-mail",
        words="refuses MAIL, and every recipient behind it with 503",
        rows=(84,),
        temper=ordinary(mail=_NOT_YOU),
        alive=Reason.SENDER_REFUSED,
    ),
    Oddity(
        name="no-to-mail-and-all",
        words="refuses MAIL, and says of every recipient behind it that it does not exist",
        rows=(85,),
        temper=ordinary(
            mail=_NOT_YOU,
            habits=(AlwaysSays("RCPT", "550 5.1.1 <{recipient}>: User unknown"),),
        ),
        alive=Reason.SENDER_REFUSED,
    ),
    Oddity(
        name="greylists-at-mail",
        words="answers MAIL with 451, greylisted, for as long as we ask",
        rows=(86,),
        temper=ordinary(mail="451 4.7.1 Greylisted, please try again later"),
        alive=Reason.GREYLISTED,
    ),
)
