"""A model of the session: an exchanger that does anything, and what must hold whatever it does.

The exchanger has a truth of its own. It takes the commands in order, answers the next one rightly
or wrongly, in any pieces, answers too often, loses a command, says what nobody asked for, hangs up
or falls silent. Where it has said yes to STARTTLS it makes the handshake, or breaks it, or says
something before or behind that nobody asked for. The other side is `converse`, on a transport and
a clock in memory.

A second test lets an exchanger that is sound else err once, and hide it behind an end: with any
one of the rules of `smtp.belief` left out it fails.

`TWISTED_PROBE_EXAMPLES` in the environment is the number of examples, for longer runs.
"""

from __future__ import annotations

import os
import re
from collections import deque
from typing import Any

from attrs import define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost

from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.errors import OutOfStep, ProtocolViolation, TlsFailed
from twisted_probe.smtp.limits import MAX_OUTSTANDING, MAX_RECIPIENTS
from twisted_probe.smtp.manner import Manner
from twisted_probe.smtp.tls import Encryption
from twisted_probe.testing import results_of
from twisted_probe.testing.wire import Wire
from twisted_probe.vocabulary.address import Address, parse_address
from twisted_probe.vocabulary.reply import Reply

from .hands import GOOD, POOR, encryption
from .holding import MOST, held

_NUMBER = re.compile(r" #\d+$")
EXAMPLES = int(os.environ.get("TWISTED_PROBE_EXAMPLES", "500"))
STEPS = 30

PROBE = parse_address("probe@example.org")
#: A local part's first letter is what becomes of it.
TRUTH = {"g": "250 2.1.5 Ok", "b": "550 5.1.1 Unknown", "t": "450 4.2.0 Later"}
PEOPLE = st.lists(
    st.sampled_from([f"{letter}{n}" for letter in TRUTH for n in range(8)] + ["gé", "bé"]),
    min_size=1,
    max_size=14,
    unique=True,
).map(lambda names: [parse_address(f"{name}@example.net") for name in names])
MANNERS = st.builds(
    Manner,
    extended=st.booleans(),
    pipelining=st.sampled_from([True, True, False]),
    starttls=st.sampled_from([True, True, False]),
    goodbye=st.booleans(),
    reset=st.sampled_from([True, True, False]),
    error_limit=st.none() | st.integers(1, 9),
    recipients_per_transaction=st.none() | st.integers(1, 14),
)
ODD = st.sampled_from(
    [250, 251, 252, 211, 220, 221, 354, 421, 450, 451, 452, 500, 501, 503, 550, 554]
)
KEYWORDS = st.sampled_from(
    [[], ["PIPELINING"], ["PIPELINING", "SMTPUTF8"], ["SIZE 1000", "PIPELINING"], ["SMTPUTF8"]]
)
#: What is offered before TLS, where it is offered too, and whether it is wanted.
BEFORE_TLS = KEYWORDS.map(lambda keywords: [*keywords, "STARTTLS"])
WISHES = st.sampled_from(
    [None, *[encryption(), encryption(POOR)] * 3]
    + [encryption(finding, is_required=True) for finding in (GOOD, POOR)]
)
INJECTED = st.sampled_from([b"250 Ok\r\n", b"250 O", b"\r\n", b"250-mx\r\n250 PIPELINING\r\n"])
NO_REPLIES = st.sampled_from([b"250OK\r\n", b"\r\n", b"9", b"250-\r\n", b"\x00\xff", b"x" * 9000])
GREETINGS = st.sampled_from(["220 mx"] * 7 + ["220-mx\r\n220 hi", "554 no", "421 busy"])
#: What one exchanger is capable of. Few at once, or no session gets anywhere.
MISDEEDS = st.sets(
    st.sampled_from(
        [
            "odd",
            "surplus",
            "doubled",
            "loss",
            "names another",
            "no reply",
            "flood",
            "hang up",
            "long pause",
        ]
    ),
    max_size=2,
)
#: Whom the right answer to a RCPT names: the recipient, the one before, all of the list, nobody, or
#: nobody in the words with which EHLO is answered, where it says yes.
NAMING = st.sampled_from(["own", "last", "last", "all", "none", "bare"])
#: Codes that no sound exchanger has for a RCPT behind an accepted MAIL.
NO_ANSWERS = (211, 214, 220, 221, 354, 503)
PAUSES = st.sampled_from([0.0, 0.1, 1.0, 1.5, 4.0, 11.0, 45.0, 70.0])


@define(eq=False)
class Said:
    """A command of the client's, and the text of the reply that stands in its place."""

    line: str
    reply: str | None = None
    meant: str | None = None  # the text of the reply that the exchanger gave to this very command

    @property
    def verb(self) -> str:
        return self.line.partition(" ")[0]

    @property
    def local(self) -> str:
        return self.line.partition("<")[2].partition("@")[0]


class Session(RuleBasedStateMachine):
    """One session; every rule is something that the exchanger does."""

    @initialize(
        people=PEOPLE,
        control=st.booleans(),
        keywords=KEYWORDS | BEFORE_TLS | BEFORE_TLS,
        within=KEYWORDS | BEFORE_TLS,
        wish=WISHES,
        manner=MANNERS,
        max_errors=st.sampled_from([9, 9, 9, 4, 2, 1]),
        ceiling=st.none() | st.integers(1, 5),
        names=NAMING,
        greeting=GREETINGS,
        misdeeds=MISDEEDS,
        right=st.sampled_from([0, 1, 2, 2]),
    )
    def dials(
        self,
        people: list[Address],
        control: bool,
        keywords: list[str],
        within: list[str],
        wish: Encryption | None,
        manner: Manner,
        max_errors: int,
        ceiling: int | None,
        names: str,
        greeting: str,
        misdeeds: set[str],
        right: int,
    ) -> None:
        self.people = people
        self.control = parse_address("bcontrol@example.net") if control else None
        self.keywords = keywords
        self.within = within  # what it offers under TLS
        self.wish = wish
        self.shaken: int | None = None  # how many commands it had got by its handshake
        self.manner = manner
        self.max_errors = min(max_errors, manner.error_limit or max_errors)
        self.ceiling = ceiling
        self.names = names
        self.wire = Wire()
        self.said: list[Said] = []
        self.todo: deque[Said] = deque()  # what the exchanger has not dealt with
        self.misdeeds = misdeeds
        self.taken: int | None = None  # recipients of the open transaction
        self.last = ""  # who was asked last
        self.count = 0
        self.replies = 0  # those behind the greeting
        self.surplus = self.lost = self.doubled = 0
        self.results: list[Any] = []
        results_of(self.wire.session.greeted)
        self.wire.feed(greeting.encode() + b"\r\n")
        self.results = results_of(
            converse(
                self.wire.session,
                people,
                PROBE,
                control=self.control,
                max_errors=max_errors,
                manner=manner,
                encryption=wish,
            )
        )
        self.listen()
        # Up to the handshake nearly everybody does right, or there would hardly be one.
        self.answers_all(right)

    # --- What the exchanger does -------------------------------------------------------------

    def may(self, misdeed: str) -> bool:
        return self.wire.is_open and misdeed in self.misdeeds

    @precondition(lambda self: not self.wire.is_open)
    @rule()
    def does_nothing(self) -> None:
        """It is over."""

    @precondition(lambda self: self.todo and self.wire.is_open)
    @rule(number=st.integers(1, 6), cuts=st.lists(st.integers(0, 200), max_size=4))
    def answers(self, number: int, cuts: list[int]) -> None:
        """Rightly, in any pieces, several at once."""
        texts = []
        for _ in range(min(number, len(self.todo))):
            command = self.todo.popleft()
            command.meant = self.right(command)
            texts.append(command.meant)
        self.speak(texts, cuts)

    @precondition(lambda self: self.todo and self.wire.is_open)
    @rule(times=st.integers(1, 8))
    def answers_all(self, times: int) -> None:
        """All that it was asked until now, a few times over."""
        for _ in range(times):
            self.answers_some(len(self.todo))
            if self.is_awaited and not self.todo:
                self.shakes_hands(None)

    def answers_some(self, number: int) -> None:
        for _ in range(number):
            if self.todo and self.wire.is_open:
                self.answers(1, [])

    @precondition(lambda self: self.todo and self.may("odd"))
    @rule(code=ODD)
    def answers_oddly(self, code: int) -> None:
        command = self.todo.popleft()
        command.meant = self.numbered(f"{code} odd")
        self.speak([command.meant])

    @precondition(lambda self: self.may("surplus") and not self.lost)
    @rule(
        before=st.integers(0, 4), code=ODD, late=st.booleans(), behind=st.sampled_from([0, 1, 40])
    )
    def says_one_too_many(self, before: int, code: int, late: bool, behind: int) -> None:
        """On its own, or right behind a right answer; and rightly goes on."""
        self.answers_some(before)
        texts = [self.numbered(f"{code} surplus")]
        if self.todo and not late:
            command = self.todo.popleft()
            command.meant = self.right(command)
            texts.insert(0, command.meant)
        self.surplus += 1
        self.speak(texts)
        self.answers_some(behind)

    @precondition(lambda self: self.is_awaited and not self.todo)
    @rule(early=st.none() | ODD)
    def shakes_hands(self, early: int | None) -> None:
        """And speaks too early, where it is one who does."""
        self.wire.encrypts()
        self.shaken = len(self.said)
        self.keywords, self.taken = self.within, None
        if early is not None and "surplus" in self.misdeeds:
            self.wire.session.dataReceived(f"{early} early\r\n".encode())
            assert self.wire.is_cut
        self.wire.seconds_pass(0)
        self.listen()

    @precondition(lambda self: self.is_awaited and self.may("hang up"))
    @rule()
    def breaks_the_handshake(self) -> None:
        self.breaks()
        self.listen()

    @precondition(lambda self: self.todo and self.may("surplus"))
    @rule(octets=INJECTED)
    def injects(self, octets: bytes) -> None:
        """Plaintext behind the yes to STARTTLS; nothing is encrypted then, or believed."""
        if self.todo[0].verb == "STARTTLS" and len(self.todo) == 1 and not self.surplus:
            self.todo.clear()
            self.feed(b"220 Go ahead\r\n" + octets, ["220 Go ahead"])
            assert self.wire.is_cut
            assert self.wire.transport.handshake is None
            assert isinstance(self.report.failure, ProtocolViolation)
            assert not self.report.answers
            assert self.report.manner.starttls is self.manner.starttls

    @precondition(lambda self: self.replies and self.may("doubled") and not self.lost)
    @rule(behind=st.integers(0, 6), end=st.sampled_from(["", "421", "FIN"]))
    def says_its_last_reply_twice(self, behind: int, end: str) -> None:
        """Late, and perhaps ends the session where the reply to the last command is due."""
        last = self.said[min(self.replies, len(self.said)) - 1]
        if last.reply is None or last.verb in ("STARTTLS", "QUIT"):
            return
        self.doubled += 1
        self.speak([last.reply])
        self.answers_some(behind)
        if self.todo and end == "421":
            self.speak(["421 4.7.0 too many errors"])
        if self.todo and end and self.wire.is_open:
            self.wire.closes()
            self.listen()

    @precondition(lambda self: self.todo and self.may("names another"))
    @rule(number=st.integers(0, 13))
    def names_another(self, number: int) -> None:
        """And not the one who was asked."""
        command, other = self.todo[0], self.people[number % len(self.people)]
        if command.verb != "RCPT" or command.local == other.local or self.taken is None:
            return
        if not any(each.local == other.local for each in self.said):
            return
        self.todo.popleft()
        self.speak([self.numbered(f"550 5.1.1 <{other.text}>: no such user")])

    @precondition(lambda self: self.todo and self.may("loss") and not self.surplus + self.doubled)
    @rule(before=st.integers(0, 4), behind=st.integers(0, 6))
    def loses_a_command(self, before: int, behind: int) -> None:
        """And answers some before it and behind it."""
        self.answers_some(before)
        if self.todo:
            self.todo.popleft()
            self.lost += 1
        self.answers_some(behind)

    def loses_its_next_reply(self, end: str) -> None:
        """It has heard the command, and whoever it names as the last is that one."""
        if self.todo:
            self.right(self.todo.popleft())
            self.lost += 1
        self.answers_some(len(self.todo))
        if end[:3] == "421" and self.wire.is_open and self.lost:
            self.speak(["421 4.4.2 timeout"])

    def answers_in_another_order(self) -> None:
        """All that was asked, the last first. It is seen where somebody is named."""
        if self.names != "own" or len(self.todo) < 2 or self.todo[0].verb != "RCPT":
            return
        texts: list[str] = []
        for command in self.todo:
            command.meant = self.right(command)
            texts.insert(0, command.meant)
        self.todo.clear()
        self.speak(texts)

    def ends(self, end: str) -> None:
        """Answer what is asked, up to an end that is perhaps none of the best."""
        kind, _, to_quit = end.partition(" to ")
        if self.lost or not kind:
            to_quit = ""
        while self.todo and self.wire.is_open:
            if to_quit and self.said[self.replies].verb == "QUIT":
                self.todo.clear()
                if kind != "FIN":
                    self.speak([f"{kind} bye"])
                break
            self.answers_some(1)
        if kind == "FIN" and self.wire.is_open:
            self.wire.closes()
            self.listen()

    @precondition(lambda self: self.may("no reply"))
    @rule(octets=NO_REPLIES)
    def says_what_is_no_reply(self, octets: bytes) -> None:
        self.feed(octets, None)

    @precondition(lambda self: self.may("flood"))
    @rule(lines=st.integers(1, 200), width=st.integers(0, 3000))
    def floods(self, lines: int, width: int) -> None:
        self.feed((b"250-" + b"x" * width + b"\r\n") * lines, None)

    @precondition(lambda self: self.wire.is_open)
    @rule(seconds=PAUSES)
    def pauses(self, seconds: float) -> None:
        if seconds > 1.5 and not self.may("long pause"):
            return
        self.wire.seconds_pass(seconds)
        self.listen()

    @precondition(lambda self: self.may("hang up"))
    @rule(kind=st.sampled_from([ConnectionDone, ConnectionLost]))
    def hangs_up(self, kind: type[Exception]) -> None:
        self.wire.closes(kind)
        self.listen()

    # --- How it speaks -----------------------------------------------------------------------

    def numbered(self, text: str) -> str:
        """No two replies are alike."""
        self.count += 1
        return f"{text} #{self.count}"

    def right(self, command: Said) -> str:
        """The right answer, and the state that it leads to."""
        if command.verb in ("EHLO", "HELO"):
            self.taken = None
            words = ["mx", *self.keywords] if command.verb == "EHLO" else ["mx"]
            lines = [f"250-{word}" for word in words]
            lines[-1] = lines[-1].replace("-", " ", 1)
            return "\r\n".join(lines)
        if command.verb == "QUIT":
            return "221 bye"
        if command.verb == "STARTTLS":
            return self.numbered("220 2.0.0 Ready")
        if command.verb == "RSET":
            self.taken = None
            return self.numbered("250 2.0.0 Ok")
        if command.verb == "MAIL":
            self.taken = 0
            return self.numbered("250 2.1.0 Ok")
        if self.taken is None:
            return self.numbered("503 5.5.1 need MAIL")
        if self.ceiling is not None and self.taken >= self.ceiling:
            return self.numbered("452 4.5.3 too many recipients")
        self.taken += 1
        text, last, self.last = TRUTH[command.local[0]], self.last, command.local
        if self.names == "bare" and text[0] == "2" and self.keywords:
            return "250 mx"
        named = {"own": [command.local], "all": [each.local for each in self.people]}
        named["last"] = [last] if last else []
        whose = "".join(f" <{local}@example.net>" for local in named.get(self.names, ()))
        return self.numbered(text + whose)

    def speak(self, texts: list[str], cuts: list[int] | None = None) -> None:
        octets = b"".join(text.encode() + b"\r\n" for text in texts)
        marks = sorted(cut % (len(octets) + 1) for cut in cuts or [])
        first = True
        for begin, end in zip([0, *marks], [*marks, len(octets)], strict=True):
            self.feed(octets[begin:end], texts if first else [])
            first = False

    def feed(self, octets: bytes, texts: list[str] | None) -> None:
        """Send octets; `texts` are the replies in them, in the place of the next commands."""
        for text in texts or []:
            if self.replies < len(self.said):
                self.said[self.replies].reply = text
            self.replies += 1
        if self.is_awaited:
            self.breaks()  # no handshake looks like this
        elif self.wire.is_open:
            self.wire.feed(octets)
        self.listen()

    @property
    def is_awaited(self) -> bool:
        """Whether the client waits for the exchanger's hands."""
        wire = self.wire
        return wire.is_open and wire.transport.handshake is not None and self.shaken is None

    def breaks(self) -> None:
        self.wire.closes(SSL.Error)
        assert isinstance(self.wire.session._failure, TlsFailed)

    @property
    def is_grouped(self) -> bool:
        """Whether commands may come together."""
        return "PIPELINING" in self.keywords and self.manner.pipelining

    # --- What the client may do --------------------------------------------------------------

    def listen(self) -> None:
        """Take what the client has said since, and look whether it might."""
        for line in self.wire.client_said():
            command = Said(line)
            assert not self.said or self.said[-1].verb != "QUIT"
            assert not self.is_awaited
            awaited = self.said[self.replies :]
            if awaited:
                assert self.is_grouped
                assert all(each.verb in ("MAIL", "RCPT", "RSET") for each in awaited)
                octets = sum(len(each.line.encode()) + 2 for each in [*awaited, command])
                assert octets <= MAX_OUTSTANDING
            self.is_in_order(command)
            self.said.append(command)
            self.todo.append(command)
            assert self.could_be_rejected <= self.max_errors

    @property
    def could_be_rejected(self) -> int:
        """The recipients that were, and those that wait for their reply."""
        asked = [each for each in self.said if each.verb == "RCPT"]
        return sum(each.reply is None or each.reply[0] != "2" for each in asked)

    def is_in_order(self, command: Said) -> None:
        """MAIL needs EHLO, RCPT needs MAIL that was not refused, and so on."""
        verbs = [each.verb for each in self.said[self.shaken or 0 :]]
        if command.verb in ("EHLO", "HELO"):
            is_sure = self.manner.goodbye and self.manner.reset
            assert set(verbs) <= {"EHLO"} or (verbs[-1] == "RCPT" and not is_sure)
            assert command.verb == "HELO" or self.manner.extended
            return
        if command.verb == "STARTTLS":
            assert verbs == ["EHLO"]
            assert "STARTTLS" in self.keywords
            assert self.shaken is None
            assert self.wish is not None
            assert self.manner.starttls or self.wish.is_required
            return
        assert command.verb in ("MAIL", "RCPT", "RSET", "QUIT")
        assert command.verb != "RSET" or self.manner.reset
        if command.verb == "MAIL":
            assert verbs[-1] in ("EHLO", "HELO", "RSET", "STARTTLS")
            assert "SMTPUTF8" in self.keywords or not command.line.endswith("SMTPUTF8")
            if self.wish is not None and self.wish.is_required:
                assert self.shaken is not None
                assert self.wire.session.tls == GOOD
        elif command.verb == "RCPT":
            *_, mail = (each for each in self.said if each.verb == "MAIL")
            assert "RSET" not in verbs[self.said.index(mail) :]
            assert mail.reply is None or mail.reply.startswith("2")

    # --- What must hold ----------------------------------------------------------------------

    @invariant()
    def little_is_held(self) -> None:
        answers = self.report.answers.values() if self.results else ()
        assert held(self.wire.session, answers) <= MOST

    @property
    def report(self) -> SessionReport:
        (report,) = self.results
        assert isinstance(report, SessionReport), report
        return report

    def teardown(self) -> None:
        """It ends by itself, and then everybody has one answer or none."""
        waited = 0
        while self.wire.is_open:
            self.wire.seconds_pass(30)
            self.listen()
            waited += 30
            assert waited <= 600 + 60 + 2 * MAX_RECIPIENTS
        assert not self.wire.clock.getDelayedCalls()
        report = self.report
        went_back = [*report.unanswered, *report.without_smtputf8]
        answered = [each for each in report.answers if each != self.control]
        assert sorted(each.text for each in [*went_back, *answered]) == sorted(
            each.text for each in self.people
        )
        assert len([each for each in self.said if each.verb == "RCPT"]) <= MAX_RECIPIENTS
        for recipient, reply in report.answers.items():
            self.is_an_answer(recipient, reply)
            if self.is_beyond_doubt:
                self.is_the_truth(recipient, reply)
        if report.manner.starttls is not self.manner.starttls:
            # In plaintext the next time: nobody was answered, and it was TLS that broke.
            assert not report.answers
            assert "STARTTLS" in [each.verb for each in self.said]
            assert self.wish is not None
            assert not self.wish.is_required
            assert not isinstance(report.failure, ProtocolViolation)
        if isinstance(report.failure, OutOfStep) and self.manner.goodbye and self.manner.reset:
            for recipient, reply in report.answers.items():
                assert f"<{recipient.text}>" in reply.text

    def is_an_answer(self, recipient: Address, reply: Reply) -> None:
        """The reply stands in the place of a RCPT for that recipient, behind an accepted MAIL."""
        assert reply.code not in NO_ANSWERS
        number = _NUMBER.search(reply.text)
        if number is None:
            # It was cut away, or is a bare yes.
            assert "flood" in self.misdeeds or str(reply) == "250 mx"
            return
        places = [
            place
            for place, each in enumerate(self.said)
            if each.reply is not None and each.verb == "RCPT" and each.local == recipient.local
            if each.reply.endswith(number[0])
        ]
        assert places
        *_, mail = (each for each in self.said[: places[-1]] if each.verb == "MAIL")
        assert mail.reply is not None
        assert mail.reply.startswith("250")

    @property
    def is_beyond_doubt(self) -> bool:
        """Whether the exchanger has given itself away, where it answered the wrong command.

        One who says a reply too many that is like none before, and hangs up before the last shows,
        cannot be found out, nor one whose last one says goodbye to a RCPT.
        """
        farewell = self.said[-1] if self.said else None
        reply = farewell.reply if farewell is not None and farewell.verb == "QUIT" else None
        if not self.surplus or self.is_reset_refused_by_another:
            return True
        assert farewell is not None
        return reply is not None and (reply == farewell.meant or reply[:3] not in ("221", "421"))

    @property
    def is_reset_refused_by_another(self) -> bool:
        """Whether a no to a RCPT stands in the place of the answer to RSET, or to a later EHLO."""
        later = [each for each in self.said if each.verb in ("RSET", "EHLO")][1:]
        return any(
            each.reply is not None
            and each.reply[:3] in ("450", "452", "550")
            and each.reply != each.meant
            for each in later
        )

    def is_the_truth(self, recipient: Address, reply: Reply) -> None:
        """The exchanger meant this reply for this recipient."""
        number = _NUMBER.search(reply.text)
        meant = [
            each.meant
            for each in self.said
            if each.verb == "RCPT" and each.local == recipient.local and each.meant is not None
        ]
        if number is None:
            assert str(reply.code) in [text[:3] for text in meant]
        else:
            assert any(text.endswith(number[0]) for text in meant)


# --- One misdeed -------------------------------------------------------------------------------

#: What happens where the last of what was asked is due, or to QUIT.
ENDS = ["", "421", "FIN", "421 to QUIT", "FIN to QUIT", "250 to QUIT"]
KNOWING = st.builds(
    Manner,
    goodbye=st.sampled_from([True, True, False]),
    pipelining=st.sampled_from([True, True, False]),
    reset=st.sampled_from([True, True, False]),
    recipients_per_transaction=st.sampled_from([None, None, 1, 2]),
)


@given(
    misdeed=st.sampled_from(["loss"] * 3 + ["double", "surplus", "names another", "odd", "order"]),
    before=st.integers(1, 4) | st.integers(0, 12),
    behind=st.integers(0, 8),
    end=st.sampled_from(ENDS),
    code=st.sampled_from([250, 550]) | ODD,
    people=PEOPLE,
    control=st.booleans(),
    keywords=st.sampled_from([["PIPELINING"]] * 4 + [[], ["SIZE 1000"]]),
    manner=KNOWING,
    ceiling=st.sampled_from([None, None, 1, 2]),
    names=NAMING,
)
@settings(max_examples=3 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_one_misdeed(
    misdeed: str, before: int, behind: int, end: str, code: int, **exchanger: Any
) -> None:
    """A sound exchanger that errs once, and perhaps hides it behind the end."""
    session = Session()
    misdeeds = {"loss", "doubled", "surplus", "names another", "odd"}
    session.dials(
        **exchanger,
        within=[],
        wish=None,
        max_errors=9,
        greeting="220 mx",
        misdeeds=misdeeds,
        right=0,
    )
    session.answers_some(before)
    if misdeed == "loss":
        session.loses_its_next_reply(end)
    elif misdeed == "double":
        session.says_its_last_reply_twice(behind, end)
    elif misdeed == "surplus":
        session.says_one_too_many(0, code, True, behind)
    elif misdeed == "names another" and session.todo:
        session.names_another(behind)
    elif misdeed == "odd" and session.todo:
        session.answers_oddly(code)
    elif misdeed == "order":
        session.answers_in_another_order()
    session.ends(end)
    session.teardown()


def test_whatever_the_exchanger_does() -> None:
    run_state_machine_as_test(
        Session,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
