"""Chapter B, the grammar of replies: what is no reply, and what is one although it looks odd.

Knows tempers and what should come of them.
"""

from __future__ import annotations

from twisted_probe.sandbox.answers import Answer
from twisted_probe.sandbox.catalogue.oddity import Oddity, ordinary
from twisted_probe.sandbox.habits import AlwaysSays, Tarpits
from twisted_probe.sandbox.quirks import EndsLinesWith, InPieces, SaysMore
from twisted_probe.sandbox.temper import Temper
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

#: More lines of a reply: together with others of its kind more than a session may make us hold.
_MUCH = f"\n{'and more ' * 33}" * 100
#: For who sends them octet by octet, each in a turn of the reactor of its own.
_FEW_WORDS = {
    "greeting": "220 {host}",
    "keywords": ("PIPELINING",),
    "mail": "250 Ok",
    "accepted": "250 Ok",
    "unknown": "550 User unknown",
}
_NO = b"550 5.1.1 User unknown\r\n"


def _answers_recipients(octets: bytes, meant: str = "250 Ok") -> Temper:
    """One that says the same octets to every recipient."""
    return ordinary(habits=(AlwaysSays("RCPT", Answer(meant, raw=(octets,))),))


def _no_reply(name: str, words: str, row: int, octets: bytes) -> Oddity:
    """One that answers recipients with what is no reply."""
    return Oddity(
        name=name,
        words=words,
        rows=(row,),
        temper=_answers_recipients(octets),
        alive=Reason.PROTOCOL_ERROR,
    )


ODDITIES = (
    Oddity(
        name="bare-line-feeds",
        words="ends its lines with LF alone",
        rows=(20,),
        temper=ordinary(habits=(EndsLinesWith(b"\n"),)),
    ),
    Oddity(
        name="bare-returns",
        words="ends its lines with CR alone",
        rows=(21,),
        temper=ordinary(habits=(EndsLinesWith(b"\r"),)),
        alive=(Reason.TIMEOUT, Reason.PROTOCOL_ERROR),
    ),
    _no_reply("code-000", "says 000 to recipients", 22, b"000 2.1.5 Ok\r\n"),
    _no_reply("code-999", "says 999 to recipients", 22, b"999 5.1.1 User unknown\r\n"),
    _no_reply("code-1xx", "says 150 to recipients", 22, b"150 2.1.5 going to take it\r\n"),
    _no_reply("two-digits", "says 25 to recipients", 23, b"25 2.1.5 Ok\r\n"),
    _no_reply("signed-code", "says +25 to recipients", 23, b"+25 2.1.5 Ok\r\n"),
    _no_reply("letters-for-code", "says OK to recipients", 23, b"OK recipient\r\n"),
    _no_reply(
        "full-width-digits",
        "says 250 in full-width digits",
        24,
        "\uff12\uff15\uff10 2.1.5 Ok\r\n".encode(),
    ),
    _no_reply("empty-line", "answers recipients with an empty line", 25, b"\r\n"),
    Oddity(
        name="code-alone",
        words="says codes without any words",
        rows=(26,),
        temper=ordinary(
            mail=Answer("250 Ok", raw=(b"250\r\n",)),
            accepted=Answer("250 Ok", raw=(b"250\r\n",)),
        ),
    ),
    _no_reply("no-separator", "says 250OK to recipients", 27, b"250OK recipient\r\n"),
    _no_reply(
        "yes-then-no",
        "begins a reply with 250 and ends it with 550",
        28,
        b"250-2.1.5 Ok\r\n" + _NO,
    ),
    _no_reply(
        "no-then-yes",
        "begins a reply with 550 and ends it with 250",
        29,
        b"550-5.1.1 User unknown\r\n250 2.1.5 Ok\r\n",
    ),
    Oddity(
        name="octet-by-octet",
        words="sends everything octet by octet",
        rows=(30,),
        temper=ordinary(**_FEW_WORDS, habits=(InPieces(),)),
    ),
    Oddity(
        name="odd-pieces",
        words="sends everything in pieces of seven octets",
        rows=(30,),
        temper=ordinary(**_FEW_WORDS, habits=(InPieces(7),)),
    ),
    Oddity(
        name="one-segment",
        words="holds the reply to MAIL until those to the recipients go out with it",
        rows=(31,),
        temper=ordinary(habits=(Tarpits(0.2, Stage.MAIL),)),
    ),
    Oddity(
        name="unasked-reply",
        words="says yes once more, unasked, a little after the reply to MAIL",
        rows=(32,),
        temper=ordinary(habits=(SaysMore("MAIL", (0.1, b"250 2.1.5 Ok\r\n")),)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="answers-ahead",
        words="says yes to MAIL and to a recipient before they have come",
        rows=(32,),
        temper=ordinary(habits=(SaysMore("EHLO", (0.05, b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n")),)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="two-replies-to-mail",
        words="answers MAIL twice in one segment, to who asks one by one",
        rows=(33,),
        temper=ordinary(
            keywords=("ENHANCEDSTATUSCODES",),
            habits=(SaysMore("MAIL", (b"250 2.1.5 Ok\r\n",)),),
        ),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="two-replies-pipelined",
        words="answers MAIL twice in one segment, to who pipelines",
        rows=(33,),
        temper=ordinary(habits=(SaysMore("MAIL", (b"250 2.1.5 Ok\r\n",)),)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="late-no",
        words="says a no, unasked, behind the reply to MAIL: the living get the no of another",
        rows=(33, 34),
        temper=ordinary(habits=(SaysMore("MAIL", (_NO,)),)),
        alive=Reason.PROTOCOL_ERROR,
    ),
    Oddity(
        name="late-extra-reply",
        words="says yes once more, a little after the reply to a recipient it has taken",
        rows=(34,),
        temper=ordinary(habits=(SaysMore("RCPT", (0.1, b"250 2.1.5 Ok\r\n"), code=250),)),
        # The first yes was in step, and may be kept; what came behind it may not.
        alive=(Reason.PROTOCOL_ERROR, Reason.ACCEPTED, Reason.UNCONFIRMED),
        unknown=(Reason.PROTOCOL_ERROR, Reason.NO_SUCH_MAILBOX),
    ),
    Oddity(
        name="late-extra-no",
        words="says no once more, a little after its no to a recipient, to who asks one by one: "
        "the living get the no of another",
        rows=(34,),
        temper=ordinary(
            keywords=("ENHANCEDSTATUSCODES",), habits=(SaysMore("RCPT", (0.1, _NO), code=550),)
        ),
        # Asked again in a session of their own, the living get their own yes.
        alive=(Reason.PROTOCOL_ERROR, Reason.ACCEPTED, Reason.UNCONFIRMED),
        unknown=(Reason.PROTOCOL_ERROR, Reason.NO_SUCH_MAILBOX),
        asks=("nobody", "ann"),
    ),
    Oddity(
        name="long-line",
        words="refuses in a line of five thousand octets",
        rows=(35,),
        temper=ordinary(unknown="550 5.1.1 User unknown " + "and more " * 550),
    ),
    Oddity(
        name="hundred-lines",
        words="refuses in a hundred lines",
        rows=(36,),
        temper=ordinary(
            unknown="550 5.1.1 User unknown\n" + "\n".join(["5.1.1 and that is not all"] * 99)
        ),
    ),
    Oddity(
        name="wordy",
        words="says thirty thousand octets to each recipient, whoever it is",
        rows=(36, 14),
        temper=ordinary(accepted=f"250 2.1.5 Ok{_MUCH}", unknown=f"550 5.1.1 User unknown{_MUCH}"),
        # So many words need not be heard to the end.
        alive=(Reason.ACCEPTED, Reason.UNCONFIRMED, Reason.PROTOCOL_ERROR),
        unknown=(Reason.NO_SUCH_MAILBOX, Reason.PROTOCOL_ERROR),
        asks=("ann", "ben", "one", "two", "three", "four", "five"),
    ),
    Oddity(
        name="wrong-class",
        words="refuses with an enhanced code of another class",
        rows=(37,),
        temper=ordinary(unknown="550 2.1.5 No such user here"),
    ),
    _no_reply("code-3xx", "says 354 to recipients", 39, b"354 go ahead\r\n"),
    Oddity(
        name="code-3xx-to-mail",
        words="says 354 to MAIL",
        rows=(39,),
        temper=ordinary(mail="354 go ahead"),
        alive=Reason.PROTOCOL_ERROR,
    ),
)
