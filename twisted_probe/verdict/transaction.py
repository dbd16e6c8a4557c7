"""Whether a refusal asks for a smaller transaction.

Knows the words and codes for "too many recipients"; not how the next transaction is opened
(`smtp.conversation`).
"""

from __future__ import annotations

import re

from twisted_probe.verdict.words import enhanced_code, folded
from twisted_probe.vocabulary.reply import Reply

_FEWER = re.compile(
    r"too many (?:recipients|rcpts?\b|addressees|destinations)|too much recipients"
    r"|(?:limit|max\w*)\b.{0,30}\brecipients? (?:\w+ ){0,2}(?:reached|exceeded)"
    r"|recipients? (?:\w+ )?limit|max\w* (?:number of )?recipients"
    r"|policy size per transaction"
)
# A limit over time or over all that we do: a new transaction at once would only make it worse.
_PACE = re.compile(
    r"\b(?:hour\w*|day|daily|minutes?|rate|recent\w*|errors?(?!:)|connections?"
    r"|invalid|unknown|recipients from)\b"
)


def asks_for_fewer_recipients(reply: Reply) -> bool:
    """Whether the reply to a RCPT refuses the transaction's size and not the recipient.

    It is then no verdict: the recipient belongs into a new transaction, at once (RFC 5321
    section 4.5.3.1.10 says 452, older servers 552, both mean "not now"). Words beat the enhanced
    code x.5.3, which some servers give to limits over time.
    """
    if reply.is_positive:
        return False
    text = folded(reply.text)
    if _PACE.search(text):
        return False
    return bool(_FEWER.search(text)) or enhanced_code(reply) in ("4.5.3", "5.5.3")
