"""Chapter A, the greeting: what is said, or not, before we have said a word.

Knows tempers and what should come of them.
"""

from __future__ import annotations

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue.oddity import Oddity, ordinary
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.quirks import FallsSilent, Mirrors
from twisted_probe.sandbox.street import SOURCES
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

#: What is sent of what has no end; far more than any prober should take.
_FLOOD = (b"x" * 8192, 0.0) * 128
_ENDLESS_LINES = (b"220-and there is more to say\r\n" * 64, 0.0) * 256
_TINY_LINES = (b"220-\r\n" * 40_000,)

ODDITIES = (
    Oddity(
        name="pausing-greeting",
        words="greets in three lines with pauses between them",
        rows=(1, 2),
        temper=ordinary(
            greeting=Answer(
                "220 hello",
                raw=(b"220-mx ESMTP\r\n", 0.3, b"220-wait for it\r\n", 0.3, b"220 now\r\n"),
            )
        ),
    ),
    Oddity(
        name="silent-greeting",
        words="takes the connection and says nothing",
        rows=(3,),
        temper=ordinary(habits=(FallsSilent(""),)),
        alive=Reason.TIMEOUT,
    ),
    Oddity(
        name="no-service",
        words="greets with a 554",
        rows=(4,),
        temper=tempers.turning_away(),
        alive=Reason.REFUSED,
    ),
    Oddity(
        name="listed-at-greeting",
        words="greets with a 554 in the words of a block list",
        rows=(5,),
        temper=ordinary(
            greeting="554 5.7.1 Service unavailable; Client host [{client}] blocked using "
            "zen.spamhaus.org"
        ),
        alive=Reason.BLOCKLISTED,
    ),
    Oddity(
        name="takes-no-mail",
        words="greets with a 521: this host takes no mail",
        rows=(6,),
        temper=ordinary(greeting="521 {host} does not accept mail"),
        alive=Reason.REFUSED,
    ),
    Oddity(
        name="shutting-down",
        words="greets with a 421",
        rows=(7,),
        temper=ordinary(greeting="421 {host} Service not available, closing channel"),
        alive=Reason.TEMPORARY,
    ),
    Oddity(
        name="too-many-connections",
        words="greets with a 421: too many connections",
        rows=(8, 116),
        temper=tempers.rate_limiting(),
        alive=Reason.RATE_LIMITED,
    ),
    Oddity(
        name="ssh",
        words="speaks SSH",
        rows=(9,),
        temper=tempers.not_smtp(),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="http",
        words="speaks HTTP, with a line in the body that looks like a reply",
        rows=(9,),
        temper=ordinary(
            greeting=Answer(
                raw=(
                    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\n\r\n250 ok\r\n",
                ),
                then=Then.CLOSE,
            )
        ),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="control-bytes",
        words="NUL, escape sequences and other control bytes in its words",
        rows=(10, 11),
        temper=ordinary(
            greeting="220 {host} \x00\x07 ESMTP \x1b[2J\x1b[31mall yours\x1b]0;owned\x07",
            unknown="550 5.1.1 \x1b[1A\x1b[2Kno\x08\x08 such\x0b user \x7f\x9b31m here",
        ),
    ),
    Oddity(
        name="no-utf-8",
        words="octets that are no UTF-8 in its words",
        rows=(11, 38),
        temper=ordinary(
            greeting="220 {host} gr\udcfc\udcdf Gott",
            unknown="550 5.1.1 \udcff\udcfe\udcc0\udcaf User unknown",
        ),
    ),
    Oddity(
        name="flood",
        words="sends a megabyte without an end of line",
        rows=(12, 13),
        temper=ordinary(greeting=Answer(raw=_FLOOD)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="endless-reply",
        words="sends a greeting whose lines never end",
        rows=(14,),
        temper=ordinary(greeting=Answer(raw=_ENDLESS_LINES)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="tiny-lines",
        words="sends forty thousand lines of six octets at once",
        rows=(15,),
        temper=ordinary(greeting=Answer(raw=_TINY_LINES)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="dripping-octets",
        words="sends an octet of its greeting now and then, without end",
        rows=(16,),
        temper=ordinary(greeting=Answer(raw=(b"220 ", *(b".", 0.1) * 10_000))),
        alive=Reason.TIMEOUT,
    ),
    Oddity(
        name="dripping-lines",
        words="sends a line of its greeting now and then, without end",
        rows=(17,),
        temper=ordinary(greeting=Answer(raw=(b"220-patience\r\n", 0.8) * 2_000)),
        alive=Reason.TIMEOUT,
    ),
    Oddity(
        name="talks-first",
        words="sends a yes that nobody asked for behind its greeting",
        rows=(18,),
        temper=ordinary(greeting=Answer("220 hello", raw=(b"220 mx ESMTP\r\n250 2.1.5 Ok\r\n",))),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="our-own-name",
        words="greets with the name that we say ourselves",
        rows=(19,),
        temper=ordinary(habits=(Mirrors(tuple((each.address, each.helo) for each in SOURCES)),)),
        alive=Reason.FORBIDDEN_EXCHANGER,
    ),
    Oddity(
        name="our-own-name-again",
        words="answers EHLO with the name that we say ourselves",
        rows=(19,),
        temper=ordinary(ehlo="250 {helo}\nPIPELINING\nENHANCEDSTATUSCODES"),
        alive=Reason.FORBIDDEN_EXCHANGER,
    ),
    Oddity(
        name="slow-greeting",
        words="greets late, but in time",
        rows=(2,),
        temper=ordinary(habits=(Tarpits(0.6, Stage.GREETING),)),
    ),
)
