"""What is believed of the answers of a session.

A reply does not say which command it answers; the order is all there is. So the question behind
every answer is whether the order still holds, and this is how it is settled:

* *Too many replies.* One that nobody asked for, a code that cannot be the answer, a wrong reply
  to RSET or QUIT: somewhere a command was answered twice, and everybody behind it has got the
  answer of another. Where, cannot be told: an accepted RSET or MAIL in between proves nothing,
  for a 250 that was due to the recipient before looks the same. The only replies that cannot be
  mistaken are those to EHLO, which opens the session, and QUIT, which ends it. So all answers
  are in doubt.
* *Too few replies.* Commands that were sent together, and an exchanger that then fell silent
  (`smtp.pace`): some were lost on the way, and nobody knows which. The answers of that group are
  in doubt. They are not when the exchanger hung up or said 421 without such a silence, nor where
  each command waited for its reply: there the first who was not answered is the last that was
  asked.
* *No reply that can be one* (garbage, a part of a line, the end of the connection) ends the
  session; who was answered before keeps the answer.

An answer in doubt goes back to be asked again, unless it vouches for itself: it names the very
recipient that it was taken for, as Postfix and sendmail do.
"""

from __future__ import annotations

import re

from twisted_probe.smtp.states import CLOSING
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.reply import Reply

# What may stand in a local part before, and in a domain behind, the address that is looked for.
_NOT_BEFORE = r"(?<![\w.!#$%&'*+/=?^`{|}~@-])"
_NOT_BEHIND = r"(?![\w-]|\.\w)"
#: The codes that say no to RSET and could not be said to a RCPT after MAIL. A 501 could.
_REFUSES_COMMANDS = frozenset((CLOSING, 500, 502, 503, 504))
# Exim: "554 Too many nonmail commands".
_OF_COMMANDS = re.compile(r"\b(?:non-?mail|commands?|rset)\b", re.IGNORECASE)
# Postfix: "Improper use of SMTP command pipelining"; Exim: "SMTP synchronization error".
_OF_PIPELINING = re.compile(r"pipelin|synchroni[sz]ation", re.IGNORECASE)

# RFC 3207 section 4: 530; RFC 4954 section 6 has the same code for "authenticate first".
_WANTS_TLS = 530
_OF_TLS = re.compile(r"tls\b", re.IGNORECASE)


def vouches(reply: Reply, recipient: Address, reverse_path: Address | None) -> bool:
    """Whether the reply names the recipient, so that it can be nobody else's."""
    if reverse_path is not None and reverse_path.text.lower() == recipient.text.lower():
        return False
    name = _NOT_BEFORE + re.escape(recipient.text.lower()) + _NOT_BEHIND
    return re.search(name, reply.text.lower()) is not None


def refuses_reset(reply: Reply) -> bool:
    """Whether a no behind RSET is one to RSET, and not to the RCPT before it."""
    return reply.code in _REFUSES_COMMANDS or _OF_COMMANDS.search(reply.text) is not None


def complains_of_pipelining(reply: Reply) -> bool:
    """Whether a no is about commands that came together."""
    return not reply.is_positive and _OF_PIPELINING.search(reply.text) is not None


def demands_tls(reply: Reply) -> bool:
    """Whether a no is one to commands in plaintext."""
    return reply.code == _WANTS_TLS and _OF_TLS.search(reply.text) is not None
