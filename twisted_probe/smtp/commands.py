"""The commands of a session as they go out, checked once more before the wire.

Knows how a command is spelt and that no control character may be in one; not when it may be
said (`smtp.states`).
"""

from __future__ import annotations

import re

from attrs import field, frozen

from twisted_probe.smtp.errors import ForbiddenCommand, Misuse, UnsafeCommand
from twisted_probe.smtp.states import Verb
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.escaping import decoded
from twisted_probe.vocabulary.reply import Stage

#: Octets of a command line without CRLF. RFC 5321 section 4.5.3.1.4 has 512 with it.
MAX_COMMAND = 510

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# All that may be sent, at one look; the group is the verb. Four letters are all that some
# exchangers look at.
_LINE = re.compile(rb" *(?!DATA|BDAT|VRFY)([^\x00-\x20\x7f]+)[^\x00-\x1f\x7f]*", re.IGNORECASE)
_VERBS = {verb.value.encode(): verb for verb in Verb if verb.value.isalpha()}
_STAGES = {
    Verb.EHLO: Stage.EHLO,
    Verb.HELO: Stage.EHLO,
    Verb.STARTTLS: Stage.STARTTLS,
    Verb.MAIL: Stage.MAIL,
    Verb.RCPT: Stage.RCPT,
}


def _bytes(line: object) -> bytes:
    if not isinstance(line, bytes):
        raise TypeError(f'a command is bytes, such as b"NOOP", and not {type(line).__name__}')
    return line


def _refusal(line: bytes) -> Misuse:
    """Why `line` is not sent."""
    if _CONTROL.search(line) or not line.strip():
        return UnsafeCommand(f"a control character, or nothing at all, in '{decoded(line, 120)}'")
    if len(line) > MAX_COMMAND:
        return UnsafeCommand(f"more than {MAX_COMMAND} octets: '{decoded(line, 120)}'")
    return ForbiddenCommand(f"{decoded(line, 40)} is never sent")


@frozen
class Command:
    """One command line, without CRLF.

    Raises TypeError for what is not bytes, UnsafeCommand for control characters, a blank or an
    overlong line, and ForbiddenCommand for DATA, BDAT and VRFY: this is the last gate before the
    wire.
    """

    line: bytes = field(converter=_bytes)
    #: The verb; OTHER for one that changes nothing in a session's state.
    verb: Verb = field(init=False, eq=False, repr=False)

    @verb.default
    def _verb_of_the_line(self) -> Verb:
        match = _LINE.fullmatch(self.line)
        if match is None or len(self.line) > MAX_COMMAND:
            raise _refusal(self.line)
        return _VERBS.get(match[1].upper(), Verb.OTHER)

    @property
    def stage(self) -> Stage:
        """What the reply will speak of."""
        return _STAGES.get(self.verb, Stage.OTHER)


def ehlo(name: str) -> Command:
    """EHLO with our own name."""
    return Command(b"EHLO " + name.encode("ascii"))


def helo(name: str) -> Command:
    """HELO with our own name, for exchangers that know no EHLO."""
    return Command(b"HELO " + name.encode("ascii"))


def mail(reverse_path: Address | None, *, smtputf8: bool = False) -> Command:
    """MAIL with the reverse-path (None for the null one), without parameters but SMTPUTF8."""
    path = b"" if reverse_path is None else reverse_path.forward_path
    return Command(b"MAIL FROM:<" + path + b">" + (b" SMTPUTF8" if smtputf8 else b""))


def rcpt(recipient: Address) -> Command:
    """RCPT with the recipient's forward-path."""
    return Command(b"RCPT TO:<" + recipient.forward_path + b">")


STARTTLS = Command(b"STARTTLS")
RSET = Command(b"RSET")
QUIT = Command(b"QUIT")
