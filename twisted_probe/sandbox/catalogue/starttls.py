"""Chapter E, STARTTLS: certificates of every kind, and handshakes that fail in every way.

Knows tempers and what should come of them: no mailbox is judged by TLS.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue.oddity import Oddity, ordinary
from twisted_probe.sandbox.certificates import Certificate
from twisted_probe.sandbox.habits import AlwaysSays, DropsAfter
from twisted_probe.sandbox.temper import Temper
from twisted_probe.vocabulary.outcome import Reason

_KEYWORDS = ("PIPELINING", "STARTTLS", "ENHANCEDSTATUSCODES", "8BITMIME")
_WORDS = "220 2.0.0 Ready to start TLS"
_READY = _WORDS.encode() + b"\r\n"
_WANTS_TLS = "530 5.7.0 Must issue a STARTTLS command first"
#: Seconds until garbage comes behind the 220: longer than a client hello is on its way.
_A_MOMENT = 0.05


def offering(certificate: Certificate | None = None, **words: Any) -> Temper:
    """An ordinary temper that offers STARTTLS."""
    return ordinary(**{"keywords": _KEYWORDS, "tls": certificate, **words})


GOOD = Certificate()

ODDITIES = (
    Oddity(
        name="tls-good",
        words="a good certificate",
        rows=(68, 75),
        temper=offering(GOOD),
    ),
    Oddity(
        name="tls-wrong-name",
        words="a certificate for somebody else",
        rows=(71,),
        temper=offering(Certificate(names=("www.example.com", "example.com"))),
    ),
    Oddity(
        name="tls-expired",
        words="a certificate that has expired",
        rows=(71,),
        temper=offering(Certificate(is_expired=True)),
    ),
    Oddity(
        name="tls-self-signed",
        words="a self-signed certificate",
        rows=(71,),
        temper=offering(Certificate(is_self_signed=True)),
    ),
    Oddity(
        name="tls-unknown",
        words="a certificate of an authority that nobody knows",
        rows=(71,),
        temper=offering(Certificate(is_unknown=True)),
    ),
    Oddity(
        name="tls-old",
        words="nothing newer than TLS 1.0",
        rows=(70,),
        temper=offering(Certificate(is_old=True)),
    ),
    Oddity(
        name="tls-not-now",
        words="offers STARTTLS and answers 454",
        rows=(69,),
        temper=offering(starttls="454 4.7.0 TLS not available due to local problem"),
    ),
    Oddity(
        name="tls-not-known",
        words="offers STARTTLS and answers 502",
        rows=(69,),
        temper=offering(starttls="502 5.5.1 Command not implemented"),
    ),
    Oddity(
        name="tls-busy",
        words="answers STARTTLS with 421",
        rows=(69,),
        temper=offering(starttls="421 4.3.2 {host} Service not available"),
        alive=Reason.TEMPORARY,
    ),
    Oddity(
        name="tls-another-yes",
        words="answers STARTTLS with 250",
        rows=(69,),
        temper=offering(starttls="250 2.0.0 Ok"),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="tls-garbage",
        words="says 220 and goes on in plaintext",
        rows=(70,),
        temper=offering(starttls=Answer(_WORDS, raw=(_READY, _A_MOMENT, b"250 what is this?\r\n"))),
    ),
    Oddity(
        name="tls-closes",
        words="says 220 and closes",
        rows=(70,),
        temper=offering(starttls=Answer("220 Go ahead", then=Then.CLOSE)),
    ),
    Oddity(
        name="tls-resets",
        words="says 220 and resets",
        rows=(70,),
        temper=offering(starttls=Answer("220 Go ahead", then=Then.ABORT)),
    ),
    Oddity(
        name="tls-silent",
        words="says 220 and falls silent",
        rows=(70,),
        temper=offering(starttls=Answer("220 Go ahead", then=Then.DEAF)),
    ),
    Oddity(
        name="tls-injected",
        words="a whole reply in plaintext behind the 220",
        rows=(72,),
        temper=offering(starttls=Answer(_WORDS, raw=(_READY + b"250 2.1.5 Ok\r\n",))),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="tls-injected-part",
        words="a part of a line in plaintext behind the 220",
        rows=(72,),
        temper=offering(starttls=Answer(_WORDS, raw=(_READY + b"250 2.1",))),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="tls-stripped",
        words="offers no STARTTLS, and takes mail without it",
        rows=(73,),
        temper=ordinary(),
    ),
    Oddity(
        name="tls-less-within",
        words="offers PIPELINING before TLS, and not within",
        rows=(74, 81),
        temper=offering(GOOD, encrypted=ordinary(keywords=("8BITMIME",))),
    ),
    Oddity(
        name="tls-never-ends",
        words="keeps the connection open behind QUIT, without a close_notify",
        rows=(76,),
        temper=offering(
            GOOD, habits=(AlwaysSays("QUIT", Answer("221 2.0.0 Bye", then=Then.DEAF)),)
        ),
    ),
    Oddity(
        name="tls-wanted",
        words="refuses MAIL without TLS",
        rows=(77,),
        temper=offering(GOOD, mail=_WANTS_TLS, encrypted=ordinary()),
    ),
    Oddity(
        name="tls-wanted-in-vain",
        words="refuses MAIL without TLS, and makes no handshake",
        rows=(77,),
        temper=offering(mail=_WANTS_TLS, starttls=Answer("220 Go ahead", then=Then.CLOSE)),
        alive=Reason.POLICY,
    ),
    Oddity(
        name="tls-lost",
        words="resets as soon as it is asked under TLS",
        rows=(78,),
        temper=offering(GOOD, encrypted=evolve(ordinary(), habits=(DropsAfter(3, Then.ABORT),))),
    ),
    Oddity(
        name="tls-early",
        words="greets once more under TLS",
        rows=(79,),
        temper=offering(GOOD, unasked="220 {host} ESMTP"),
        alive=Reason.PROTOCOL_ERROR,
    ),
)
