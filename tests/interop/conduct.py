"""How the daemon behaved, in the words of the servers: their logs, read back as sessions.

Knows what each server writes; not what was asked for, nor what became of it.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from . import topology
from .parts import chasquid, exim, opensmtpd, postfix, sendmail

#: What servers say of clients that misbehave, or that they could not get on with.
COMPLAINT = re.compile(
    # Postfix
    r"improper command pipelining|non-SMTP command|too many errors|lost connection|timeout after"
    r"|SSL_accept error"
    # postscreen
    r"|PREGREET|HANGUP|COMMAND (?:PIPELINING|TIME LIMIT|COUNT LIMIT|LENGTH LIMIT)"
    r"|NON-SMTP COMMAND|BARE NEWLINE|DATA without valid"
    # Exim, and why a session ended without QUIT, as its access lists have it
    r"|synchronization error|SMTP (?:syntax|protocol) error|syntax or protocol errors"
    r"|unqualified verify|nonmail commands|TLS error"
    r"|conduct \S+ \S+ (?!ehlo|starttls|mail|rcpt|quit)"
    # OpenSMTPD, chasquid, sendmail
    r"|Pipelining not supported|io-error|reason=(?!quit)|breaking connection|exiting with error"
    r"|protocol error|lost input channel",
)

#: The commands of mail, and such as no prober says.
FORBIDDEN = frozenset(("data", "bdat", "vrfy", "expn", "etrn", "auth", "turn", "forbidden"))


@dataclass
class Session:
    """One session as its server saw it: how often it took each command, and how often not.

    `opened` and `closed` are places in the log; one that is still open is never closed.
    """

    exchanger: str
    source: str
    opened: int
    closed: float = inf
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _awaited: deque[str] = field(default_factory=deque)

    @property
    def has_begun(self) -> bool:
        """Whether the client was let in, and has said anything."""
        return (self.accepted + self.refused).total() > self.refused["connect"]

    def says(self, line: str) -> None:
        """The client has said this; the next `hears` is the reply."""
        self._awaited.append(line.split(" ")[0].strip().lower())

    def hears(self, code: str) -> None:
        """The server's reply; the greeting is the one to nothing."""
        if self._awaited:
            counts = self.accepted if code[0] == "2" else self.refused
            counts[self._awaited.popleft()] += 1


def sessions(logs: Mapping[str, str]) -> list[Session]:
    """All sessions that the prober has had with the street; none is left out because it did not
    come to its end."""
    found = [
        session for path, read in _READERS.items() for session in read(logs[path].splitlines())
    ]
    return [session for session in found if session.source not in _THEMSELVES]


def complaints(logs: Mapping[str, str]) -> list[str]:
    """The lines in which a server complains."""
    return [
        line
        for path in _READERS
        for line in logs[path].splitlines()
        if COMPLAINT.search(line) and not _is_among_themselves(line)
    ]


def _is_among_themselves(line: str) -> bool:
    """Exim names its own address beside the client's."""
    named = set(_NAMED.findall(line))
    return bool(named) and named <= _THEMSELVES


def most_at_once(sessions: Iterable[Session]) -> int:
    """How many sessions were open together, at most. All must be of one log."""
    changes = sorted(
        change for session in sessions for change in ((session.opened, 1), (session.closed, -1))
    )
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


#: Exim asks Postfix (callout), Postfix itself: their sessions with each other are not ours.
_THEMSELVES = frozenset((*topology.EXIM.values(), *topology.POSTFIX.values(), "127.0.0.1"))

_NAMED = re.compile(r"\[([0-9a-f]*[.:][0-9a-f.:]+)\]")

_Lines = list[str]


# ---------------------------------------------------------------- Postfix

_SMTPD = re.compile(
    r"postfix/(\w+)/smtpd\[(\d+)\]: (connect|disconnect) from \S+\[([^]]+)\]\s?(.*)"
)
_POSTSCREEN = re.compile(
    r"postfix/(\w+)/postscreen\[\d+\]: (CONNECT|DISCONNECT|PASS OLD|NOQUEUE: reject: RCPT)"
    r"(?: from)? \[([^]]+)\]:(\d+)"
)


def _postfix(lines: _Lines) -> Iterator[Session]:
    """What is passed on by postscreen is smtpd's to count."""
    open_: dict[tuple[str, ...], Session] = {}
    for number, line in enumerate(lines):
        if found := _SMTPD.search(line):
            host, pid, event, source, counts = found.groups()
            if event == "connect":
                open_[host, pid] = Session(_name(host), source, number)
            else:
                session = open_.pop((host, pid))
                session.closed = number
                _count(session, counts)
                yield session
        elif found := _POSTSCREEN.search(line):
            host, event, source, port = found.groups()
            key = (host, source, port)
            if event == "CONNECT":
                open_[key] = Session(_name(host), source, number)
            elif event == "PASS OLD":
                del open_[key]
            elif event == "DISCONNECT":
                session = open_.pop(key)
                session.closed = number
                session.accepted.update(("ehlo", "mail", "quit"))
                yield session
            else:
                open_[key].refused["rcpt"] += 1
    yield from (each for key, each in open_.items() if len(key) == 2)


def _count(session: Session, counts: str) -> None:
    for count in counts.split():  # such as "mail=1 rcpt=3/12 quit=1": accepted/all
        command, _, figures = count.partition("=")
        good, _, total = figures.partition("/")
        if command != "commands":
            session.accepted[command] += int(good)
            session.refused[command] += int(total or good) - int(good)


def _name(label: str) -> str:
    return f"{label}.street.example"


# ---------------------------------------------------------------- Exim

_EXIM_NAMES = {address: name for name, address in topology.EXIM.items()}
_EXIM_OPENED = re.compile(r"SMTP connection from \[([^]]+)\]:(\d+) I=\[([^]]+)\]:25 \(TCP/IP")
_EXIM_FULL = re.compile(r"Connection from \[([^]]+)\]:\d+ I=\[([^]]+)\]:25 refused")
_EXIM_SAID = re.compile(r"conduct \[([^]]+)\]:(\d+) I=\[([^]]+)\] (\S+)")
_EXIM_REFUSED = re.compile(
    r"\[([^]]+)\]:(\d+) I=.* (?:rejected|temporarily rejected) (RCPT|MAIL|EHLO or HELO)"
)
_EXIM_CLOSED = re.compile(r"SMTP connection from .*\[([^]]+)\]:(\d+) I=\S+ (?!\(TCP/IP)")


def _exim(lines: _Lines) -> Iterator[Session]:
    """The daemon says that a session begins, a child the rest; the child may be first."""
    open_: dict[tuple[str, str], Session] = {}
    for number, line in enumerate(lines):
        if found := _EXIM_OPENED.search(line):
            source, port, address = found.groups()
            open_.setdefault((source, port), Session(_EXIM_NAMES[address], source, number))
        elif found := _EXIM_FULL.search(line):
            source, address = found.groups()
            yield Session(
                _EXIM_NAMES[address], source, number, number, refused=Counter({"connect": 1})
            )
        elif found := _EXIM_SAID.search(line):
            source, port, address, verb = found.groups()
            new = Session(_EXIM_NAMES[address], source, number)
            session = open_.setdefault((source, port), new)
            session.accepted[verb] += 1
            # Its end is logged behind the reply to QUIT, when the client may be back already.
            session.closed = number
        elif found := _EXIM_REFUSED.search(line):
            source, port, verb = found.groups()
            verb = verb[:4].lower()
            open_[source, port].accepted[verb] -= 1
            open_[source, port].refused[verb] += 1
        elif found := _EXIM_CLOSED.search(line):
            yield open_.pop((found[1], found[2]))
    yield from open_.values()


# ---------------------------------------------------------------- those that log dialogues

_OPENSMTPD = re.compile(r"smtp: (0x\w+): (<<<|>>>) (.*)")
_OPENSMTPD_OPENED = re.compile(r"smtp: (0x\w+): connected to listener")
_OPENSMTPD_SOURCE = re.compile(r"(\w+) smtp connected address=(\S+)")
_OPENSMTPD_CLOSED = re.compile(r"(\w+) smtp disconnected reason=")


def _opensmtpd(lines: _Lines) -> Iterator[Session]:
    open_: dict[str, Session] = {}
    ids: dict[str, str] = {}
    newest = ""
    for number, line in enumerate(lines):
        if found := _OPENSMTPD_OPENED.match(line):
            newest = found[1]
            open_[newest] = Session(topology.OPENSMTPD, "", number)
        elif found := _OPENSMTPD_SOURCE.match(line):
            ids[found[1]] = newest
            open_[newest].source = found[2]
        elif found := _OPENSMTPD.match(line):
            _heard(open_[found[1]], found[2] == "<<<", found[3])
        elif found := _OPENSMTPD_CLOSED.match(line):
            session = open_.pop(ids.pop(found[1]))
            session.closed = number
            yield session
    yield from open_.values()


_CHASQUID = re.compile(r"\S+ conn\.go:\d+\s+SMTP\.Conn (\S+):(\d+): (Connected|->|<-)\s*(.*)")


def _chasquid(lines: _Lines) -> Iterator[Session]:
    """It does not say when a session is over: that is with the last that is said."""
    open_: dict[tuple[str, str], Session] = {}
    for number, line in enumerate(lines):
        if found := _CHASQUID.match(line):
            source, port, event, words = found.groups()
            if event == "Connected":
                open_[source, port] = Session(topology.CHASQUID, source, number)
            else:
                _heard(open_[source, port], event == "->", words)
                if words.strip() == "QUIT":
                    open_[source, port].hears("221")  # which it says without logging it
            open_[source, port].closed = number
    yield from open_.values()


_SENDMAIL = re.compile(r"(\d+) (<<<|>>>) (.*)")
_SENDMAIL_SOURCE = re.compile(r"220 .*\[([^]]+)\]$")


def _sendmail(lines: _Lines) -> Iterator[Session]:
    """A process a session, which is over with the last that is said."""
    open_: dict[str, Session] = {}
    for number, line in enumerate(lines):
        if found := _SENDMAIL.match(line):
            pid, direction, words = found.groups()
            if source := _SENDMAIL_SOURCE.match(words):
                open_[pid] = Session(topology.SENDMAIL, source[1], number)
            elif pid in open_:
                _heard(open_[pid], direction == "<<<", words)
            if pid in open_:
                open_[pid].closed = number
    yield from open_.values()


def _heard(session: Session, is_clients: bool, words: str) -> None:
    if is_clients:
        session.says(words)
    elif words[3:4] != "-":
        session.hears(words)


_READERS: dict[str, Callable[[_Lines], Iterator[Session]]] = {
    postfix.LOG: _postfix,
    exim.LOG: _exim,
    exim.SINGLE_LOG: _exim,
    opensmtpd.LOG: _opensmtpd,
    chasquid.LOG: _chasquid,
    sendmail.LOG: _sendmail,
}
