"""How many octets of a stranger's a session holds on to."""

from __future__ import annotations

from collections.abc import Iterable

from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.vocabulary.reply import Reply

#: What may be held for one connection.
MOST = 64 * 1024


def held(session: ProbeProtocol, answers: Iterable[Reply] = ()) -> int:
    """Octets of the unfinished line, of the unfinished reply, and of all replies that are kept:
    by the session, for those who wait, and in `answers`. Each one counts once."""
    replies = {id(reply): reply for reply in answers}
    for group in (session._group, session._listening):
        if group is not None:
            replies |= {id(reply): reply for reply in group.replies}
    if session._failure is not None:
        replies |= {id(reply): reply for reply in session._failure.replies}
    for reply in (session.greeting, session._last):
        if reply is not None:
            replies[id(reply)] = reply
    buffer: bytes = session._buffer
    return (
        len(buffer)
        + sum(map(len, session._assembler._lines))
        + sum(len(line) for reply in replies.values() for line in reply.lines)
        + sum(len(text) for pair in session.keywords.items() for text in pair)
    )
