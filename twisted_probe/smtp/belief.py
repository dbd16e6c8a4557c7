"""What is believed of the answers of a session.

A reply does not say which command it answers; the order is all there is. So the question behind
every answer is whether the order still holds, and this is how it is settled:

* *Too many replies.* One that nobody asked for, a code that cannot be the answer, a wrong reply
  to RSET or QUIT: somewhere a command was answered twice, and everybody behind it has got the
  answer of another. Where, cannot be told: an accepted RSET or MAIL in between proves nothing,
  for a 250 that was due to the recipient before looks the same. The only replies that cannot be
  mistaken are those to EHLO, which say the exchanger's name, and to QUIT. So all answers are in
  doubt.
* *No goodbye.* The 221 to QUIT shows that no reply was left over. A 421 or a close in the place of
  a reply that was due hides it: the exchanger that has said one reply twice is one ahead, and the
  last of those whom we asked was answered with the end. Only a reply that the session has had
  before can be one that was said twice. So the answers before the first repetition stand; those
  from there on are in doubt. This keeps what polite exchangers say that hang up upon a
  rejection; the next session stays below the rejections that this one bore, and ends with 221.
* *No goodbye, never.* Some never say 221, or answer QUIT with a 250. The next session with one
  that left doubts says EHLO once more where the order has to be shown: behind the recipients and
  behind the control, and where a single rejection more may be the end, behind each who was
  answered. Only what came behind the last proof is then in doubt.
* *Too few replies.* Commands that were sent together, and not all of them were answered: there was
  a 421, an end, a silence or garbage instead. Then some may have been lost on the way, and nobody
  knows which; how soon the end came shows nothing. The answers of that group go back, all of them:
  behind a lost reply each gets the answer of the next, and where that says whom it has answered
  before, it names the very one that it is taken for. They stay where each command waited for its
  reply: there the first who was not answered is the last that was asked. The next session has
  smaller groups, where rejections brought the end, or none at all.
* *No reply that can be one* (garbage, a part of a line, the end of the connection) ends the
  session. Who was answered before keeps the answer, as far as the two rules above let him.
* *A reply about another.* One that names a recipient of ours who was asked in this session, and
  not the one that it was taken for, is the other's: the order is broken, and all answers are in
  doubt.

An answer in doubt goes back to be asked again, unless it vouches for itself: it names the very
recipient that it was taken for, as Postfix and sendmail do, and nobody else whom we have asked.
Said twice, a reply comes too late, and would have to name one who is yet to be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted_probe.smtp.states import CLOSING
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.reply import Reply

# An address in a reply: a dot-string, and a domain of names.
_DOT_STRING = r"[\w.!#$%&'*+/=?^`{|}~-]"
_NAME = re.compile(rf"(?<!{_DOT_STRING}){_DOT_STRING}+@[\w-]+(?:\.[\w-]+)*")
# What may stand before an address, and be no part of it: "'ann@example.net'".
_QUOTES = "'`"
#: RFC 5321 section 3.4: the mailbox has moved, and the path in the reply is the new one.
_MOVED = frozenset((251, 551))
#: The codes that say no to RSET and could not be said to a RCPT after MAIL. A 501 could.
_REFUSES_COMMANDS = frozenset((CLOSING, 500, 502, 503, 504))
# Exim: "554 Too many nonmail commands".
_OF_COMMANDS = re.compile(r"\b(?:non-?mail|commands?|rset)\b", re.IGNORECASE)
# Postfix: "Improper use of SMTP command pipelining"; Exim: "SMTP synchronization error".
_OF_PIPELINING = re.compile(r"pipelin|synchroni[sz]ation", re.IGNORECASE)

# RFC 3207 section 4: 530; RFC 4954 section 6 has the same code for "authenticate first".
_WANTS_TLS = 530
_OF_TLS = re.compile(r"tls\b", re.IGNORECASE)


class Names:
    """Whom the replies of one session name."""

    def __init__(self, reverse_path: Address | None) -> None:
        self._reverse_path = None if reverse_path is None else reverse_path.text.lower()
        # By their names in lower case; None where two differ in the case only.
        self._asked: dict[str, Address | None] = {}

    def asks(self, recipients: Iterable[Address]) -> None:
        """These are asked in this session; a name of nobody who was asked says nothing."""
        for recipient in recipients:
            name = recipient.text.lower()
            if self._asked.setdefault(name, recipient) != recipient:
                self._asked[name] = None

    def vouches(self, reply: Reply, recipient: Address) -> bool:
        """Whether the reply names the recipient and nobody else whom we have asked, so that it
        can be nobody else's."""
        name = recipient.text.lower()
        return (
            name != self._reverse_path
            and self._asked.get(name) is not None
            and reply.code not in _MOVED
            and name in _spelt(reply)
            and self._named(reply) == {name}
        )

    def contradicts(self, reply: Reply, recipient: Address) -> bool:
        """Whether the reply names another whom we have asked, and not the recipient."""
        words = b" ".join(reply.lines)
        at = words.count(b"@")
        if not at or (at == 1 and b"<%s>" % recipient.text.encode() in words):
            return False
        named = self._named(reply) - {self._reverse_path}
        return bool(named) and recipient.text.lower() not in named and reply.code not in _MOVED

    def _named(self, reply: Reply) -> set[str]:
        """Those whom we have asked, as far as the reply may mean them."""
        spelt = _spelt(reply)
        return self._asked.keys() & (spelt | {name.strip(_QUOTES) for name in spelt})


def _spelt(reply: Reply) -> set[str]:
    return set(_NAME.findall(reply.text.lower()))


def answered_behind_a_repetition(
    history: Iterable[tuple[Address | None, Reply]],
) -> list[Address]:
    """Those whose answer may be a reply that was said twice, or stands behind one.

    `history` has the replies of a session in order, and to which recipient each was taken for.
    """
    seen: set[tuple[int, tuple[bytes, ...]]] = set()
    in_doubt: list[Address] = []
    is_repeated = False
    for recipient, reply in history:
        words = (reply.code, reply.lines)
        is_repeated = is_repeated or words in seen
        seen.add(words)
        if is_repeated and recipient is not None:
            in_doubt.append(recipient)
    return in_doubt


def refuses_command(reply: Reply) -> bool:
    """Whether a no behind RSET or EHLO is one to that, and not to the RCPT before it."""
    return reply.code in _REFUSES_COMMANDS or _OF_COMMANDS.search(reply.text) is not None


def complains_of_pipelining(reply: Reply) -> bool:
    """Whether a no is about commands that came together."""
    return not reply.is_positive and _OF_PIPELINING.search(reply.text) is not None


def demands_tls(reply: Reply) -> bool:
    """Whether a no is one to commands in plaintext."""
    return reply.code == _WANTS_TLS and _OF_TLS.search(reply.text) is not None
