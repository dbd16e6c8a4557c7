"""Chapter D, EHLO and HELO, and RSET: who we are, and who may go on.

Knows tempers and what should come of them.
"""

from __future__ import annotations

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue.oddity import LIVING, Oddity, ordinary
from twisted_probe.sandbox.habits import AlwaysSays, LimitsRecipients
from twisted_probe.vocabulary.outcome import Reason

_LISTED = "550 5.7.1 [{client}] is on the Spamhaus block list, see https://check.spamhaus.org"
_NO_NAME = "504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname"

ODDITIES = (
    Oddity(
        name="helo-only",
        words="answers EHLO with 500",
        rows=(60, 81),
        temper=tempers.old(LIVING),
    ),
    Oddity(
        name="ehlo-502",
        words="answers EHLO with 502 and an enhanced code",
        rows=(60,),
        temper=ordinary(ehlo="502 5.5.1 EHLO not implemented"),
    ),
    Oddity(
        name="closes-at-ehlo",
        words="refuses EHLO and closes; who begins with HELO is welcome",
        rows=(61,),
        temper=ordinary(ehlo=Answer("500 5.5.1 Command unrecognized", then=Then.CLOSE)),
    ),
    Oddity(
        name="busy-at-ehlo",
        words="answers EHLO with 421",
        rows=(62,),
        temper=ordinary(ehlo="421 4.3.2 {host} Service not available"),
        alive=Reason.TEMPORARY,
    ),
    Oddity(
        name="listed-at-ehlo",
        words="refuses EHLO and HELO in the words of a block list",
        rows=(63,),
        temper=ordinary(ehlo=_LISTED, helo=_LISTED),
        alive=Reason.BLOCKLISTED,
    ),
    Oddity(
        name="wants-another-name",
        words="refuses our HELO name: not fully qualified",
        rows=(64,),
        temper=ordinary(ehlo=_NO_NAME, helo=_NO_NAME),
        alive=Reason.SENDER_REFUSED,
    ),
    Oddity(
        name="sixty-keywords",
        words="offers sixty keywords, in lower case and in old forms",
        rows=(65, 67),
        temper=ordinary(
            keywords=(
                *("pipelining", "AUTH=LOGIN PLAIN", "size 1000", "EnhancedStatusCodes"),
                *(f"x-{number}\tvalue" for number in range(56)),
            )
        ),
    ),
    Oddity(
        name="refuses-rset",
        words="takes one recipient of a transaction and refuses RSET",
        rows=(66,),
        temper=ordinary(
            habits=(LimitsRecipients(1), AlwaysSays("RSET", "502 5.5.1 not implemented"))
        ),
        asks=("ann", "ben", "nobody"),
    ),
)
