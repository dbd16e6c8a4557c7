"""An answer: what an exchanger sends back, when, and whether it stays on the line.

Knows the value and its bytes on the wire; not when it is given (`visit`, `habits`) nor the
transport (`exchanger`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from attrs import evolve, field, frozen

_CODE = re.compile(r"[0-9]{3}(?= |$)")
_ENHANCED = re.compile(r"^([0-9]{3}) [245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")
_PLACE = re.compile(r"\{([a-z]+)\}")


class Then(Enum):
    """What the exchanger does once the answer is out."""

    STAY = "stay"
    #: An orderly end (FIN).
    CLOSE = "close"
    #: A hard one (RST).
    ABORT = "abort"
    #: It stays, and reads no more.
    DEAF = "deaf"
    #: It makes a handshake, and goes on under TLS.
    SHAKE = "shake"


@frozen
class Answer:
    """One answer.

    `text` is the code and the words, with the places of `Visit.places` in braces:
    `"550 5.1.1 <{recipient}>: no such user"`. A line feed in it starts the next line of a
    multi-line reply, which gets the same code. Empty: nothing is said.
    `delay` is how many seconds pass before it.
    `then` is what happens after it; 221 and 421 close whatever it says.
    `raw` is sent in place of the text, as it stands: bytes, and numbers for seconds of silence
    between them. The text still says what was meant (a 250 to MAIL opens the transaction).
    """

    text: str = ""
    delay: float = field(default=0.0, kw_only=True)
    then: Then = field(default=Then.STAY, kw_only=True)
    raw: Iterable[bytes | float] | None = field(default=None, kw_only=True)

    @property
    def code(self) -> int | None:
        """The three-digit code, or None where nothing of the kind is said."""
        match = _CODE.match(self.text)
        return None if match is None else int(match[0])

    @property
    def is_positive(self) -> bool:
        """Whether it says yes (2xx)."""
        return self.code is not None and self.code // 100 == 2

    @property
    def is_error(self) -> bool:
        """Whether it says no (4xx, 5xx): what exchangers count against a client."""
        return self.code is not None and self.code >= 400

    @property
    def ending(self) -> Then:
        """What happens after it, the codes that always close among it (RFC 5321 section 3.8)."""
        if self.then is Then.STAY and self.code in (221, 421):
            return Then.CLOSE
        return self.then

    def without_enhanced_code(self) -> Answer:
        """The same in the words of an exchanger that does not know RFC 3463."""
        return evolve(self, text=_ENHANCED.sub(r"\1", self.text))

    def said(self, places: Mapping[str, str]) -> str:
        """The text with its places filled in; braces round anything else stay as they are."""
        return _PLACE.sub(lambda match: places.get(match[1], match[0]), self.text)

    def steps(self, said: str) -> Iterator[bytes | float]:
        """Bytes to send and seconds to wait, in order; `said` is the text with places filled."""
        if self.delay:
            yield self.delay
        if self.raw is not None:
            yield from self.raw
        elif said:
            yield wire(said)


#: How tempers write answers down: bare text is an answer without more to it.
Says = str | Answer


def answer_of(says: Says) -> Answer:
    """The answer that `says` writes down."""
    return says if isinstance(says, Answer) else Answer(says)


def wire(said: str) -> bytes:
    """The reply as RFC 5321 section 4.2 has it, `250-` in all lines but the last."""
    code, _, words = said.partition(" ")
    *others, last = words.split("\n")
    lines = [f"{code}-{words}" for words in others] + [f"{code} {last}"]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
