"""The dialogues in tests/transcripts: files with an RFC's "S: / C:" lines, parsed and replayed.

Knows the form of the files, which is told in tests/transcripts/README; not what a session should
say or report: that is in them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from tests.smtp.hands import encryption
from tests.smtp.report_lines import report_lines
from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.testing import Wire, results_of
from twisted_probe.vocabulary.address import Address, AddressError, parse_address
from twisted_probe.vocabulary.escaping import decoded

_HEADER = re.compile(r"(Rows|Recipients|Control|Options|Report):\s*(.*)")
_OPTION = re.compile(r"(max_errors|max_recipients)=(\d+)")
_SPOKEN = re.compile(r"(S:|S\+|C:) (.*)")
_MARK = re.compile(r"-- (?:(FIN|RST|TLS)|silence (\d+(?:\.\d+)?))")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|(.?))")
_REVERSE_PATH = parse_address("probe@example.org")


class DialogueError(Exception):
    """A dialogue's file is wrong, or the session went another way; with file and line."""


@frozen
class Step:
    """One line of a dialogue. `kind` is S, C, FIN, RST, TLS or silence."""

    number: int
    kind: str
    data: bytes = b""
    joins: bool = False  # in the segment of the line before
    seconds: float = 0.0


@frozen(kw_only=True)
class Dialogue:
    """One file."""

    path: Path
    rows: tuple[int, ...] = ()
    recipients: tuple[Address, ...] = ()
    control: Address | None = None
    options: dict[str, int] = field(factory=dict)
    report: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def has_starttls(self) -> bool:
        """Whether the client says it; else it is not wanted."""
        return any(step.kind == "C" and step.data == b"STARTTLS" for step in self.steps)


def read_dialogue(path: Path) -> Dialogue:
    """Parse one file; DialogueError says where it is wrong."""
    return _Reader(path).dialogue(path.read_text("utf-8"))


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.fields: dict[str, Any] = {"path": path}
        self.report: list[str] = []
        self.steps: list[Step] = []

    def dialogue(self, text: str) -> Dialogue:
        number = 0
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("    ") and "report" in self.fields and not self.steps:
                self.report.append(line.strip())
            elif (header := _HEADER.fullmatch(line)) is not None and not self.steps:
                self._header(number, *header.groups())
            else:
                self.steps.append(self._step(number, line))
        for name in ("rows", "recipients", "report"):
            if name not in self.fields:
                raise wrong(self.path, number, f"{name.title()}: is missing")
        if not self.steps:
            raise wrong(self.path, number, "nobody says anything")
        return Dialogue(**self.fields | {"report": tuple(self.report), "steps": tuple(self.steps)})

    def _header(self, number: int, name: str, value: str) -> None:
        name = name.lower()
        if name in self.fields:
            raise wrong(self.path, number, f"{name.title()}: stands there twice")
        if name == "rows":
            if re.fullmatch(r"\d+( \d+)*", value) is None:
                raise wrong(self.path, number, f"no numbers of rows: {value!r}")
            self.fields[name] = tuple(map(int, value.split()))
        elif name == "options":
            pairs = [_OPTION.fullmatch(word) for word in value.split()]
            if None in pairs:
                raise wrong(self.path, number, f"no options: {value!r}")
            self.fields[name] = {pair[1]: int(pair[2]) for pair in pairs if pair}
        elif name == "report":
            self.fields[name] = ()
            if value:
                raise wrong(self.path, number, "the report stands below, four columns in")
        else:
            people = tuple(self._person(number, word) for word in value.split())
            if name == "control":
                if len(people) != 1:
                    raise wrong(self.path, number, "one control, or no such line")
                self.fields[name] = people[0]
            else:
                self.fields[name] = people

    def _person(self, number: int, word: str) -> Address:
        try:
            return parse_address(word if "@" in word else f"{word}@example.net")
        except AddressError as error:
            raise wrong(self.path, number, f"{word!r}: {error}") from None

    def _step(self, number: int, line: str) -> Step:
        if (mark := _MARK.fullmatch(line)) is not None:
            if mark[1]:
                return Step(number, mark[1])
            return Step(number, "silence", seconds=float(mark[2]))
        spoken = _SPOKEN.fullmatch(line)
        if spoken is None:
            raise wrong(self.path, number, f"neither S:, S+, C:, a mark nor a header: {line!r}")
        who, text = spoken.groups()
        if who == "C:":
            return Step(number, "C", text.encode())
        joins = who == "S+"
        if joins and not (self.steps and self.steps[-1].kind == "S"):
            raise wrong(self.path, number, "S+ stands behind a line of the server")
        return Step(number, "S", self._server_line(number, text), joins)

    def _server_line(self, number: int, text: str) -> bytes:
        is_open = text.endswith("\\c")
        if is_open:
            text = text[:-2]
        line, end = bytearray(), 0
        for escape in _ESCAPE.finditer(text):
            line += text[end : escape.start()].encode()
            end = escape.end()
            if escape[1]:
                line.append(int(escape[1], 16))
            elif escape[2] == "\\":
                line += b"\\"
            else:
                raise wrong(self.path, number, f"no escape: {escape[0]!r}")
        line += text[end:].encode()
        return bytes(line) if is_open else bytes(line) + b"\r\n"


def wrong(path: Path, number: int, words: str) -> DialogueError:
    """What is wrong at a line of a file."""
    return DialogueError(f"{path.name}, line {number}: {words}")


def replay(dialogue: Dialogue) -> list[str]:
    """Hold the dialogue with a conversation; the lines of its report.

    DialogueError where the client says anything else than the file has, at the line where it
    should have said it.
    """
    return _Replay(dialogue).run()


class _Replay:
    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.transcript: list[str] = []
        self.expected: list[str] = []  # what the transcript must be
        self.partial = b""
        options: dict[str, Any] = dict(dialogue.options)
        self.max_errors = {k: options.pop(k) for k in ("max_errors",) if k in options}
        self.wire = Wire(transcript=self.transcript.append, **options)
        self.greeted = results_of(self.wire.session.greeted)
        self.results: list[Any] = []

    def run(self) -> list[str]:
        steps = list(self.dialogue.steps)
        while steps:
            step = steps.pop(0)
            if step.kind == "C":
                said = [step]
                while steps and steps[0].kind == "C":
                    said.append(steps.pop(0))
                self._client(said)
                continue
            self._client_is_silent(step.number)
            if step.kind == "S":
                segment = step.data
                while steps and steps[0].joins:
                    segment += steps.pop(0).data
                self._server(step.number, segment)
            elif step.kind == "silence":
                self.wire.seconds_pass(step.seconds)
            elif step.kind == "TLS":
                self.wire.encrypts()
                self.wire.seconds_pass(0)
            else:
                self.wire.closes(*([ConnectionLost] if step.kind == "RST" else []))
            self._begin()
        return self._end(self.dialogue.steps[-1].number)

    def _begin(self) -> None:
        """Once greeted, the conversation speaks."""
        if self.greeted == [self.wire.session]:
            self.greeted = []
            running = converse(
                self.wire.session,
                self.dialogue.recipients,
                _REVERSE_PATH,
                control=self.dialogue.control,
                encryption=encryption() if self.dialogue.has_starttls else None,
                **self.max_errors,
            )
            self.results = results_of(Deferred.fromCoroutine(running))

    def _client(self, steps: list[Step]) -> None:
        said = self.wire.client_said()
        wanted = [step.data.decode() for step in steps]
        if said != wanted:
            raise self._wrong(steps[0].number, f"the client said {said}, not {wanted}")
        self.expected += (f"C: {line}" for line in wanted)

    def _client_is_silent(self, number: int) -> None:
        if said := self.wire.client_said():
            raise self._wrong(number, f"before this the client said {said}")

    def _server(self, number: int, segment: bytes) -> None:
        if not self.wire.is_open:
            raise self._wrong(number, "the connection has ended")
        *lines, self.partial = (self.partial + segment).split(b"\n")
        self.expected += (_server_said(line) for line in lines)
        self.wire.feed(segment)

    def _end(self, number: int) -> list[str]:
        self._client_is_silent(number)
        if self.greeted:
            # No conversation without a greeting: what the session itself ended with.
            self.results = [SessionReport(answers={}, failure=self.greeted[0])]
        if not self.results:
            raise self._wrong(number, "the dialogue ends here, but the session waits")
        (report,) = self.results
        if not isinstance(report, SessionReport):
            raise self._wrong(number, f"no report but {report!r}")
        if self.wire.timers or self.wire.is_open:
            raise self._wrong(number, "the report is there, but the connection stands")
        # What comes behind a fault is not looked at, so it is not written down either.
        if self.transcript != self.expected[: len(self.transcript)]:
            raise self._wrong(number, f"the transcript is {self.transcript}")
        if [line for line in self.expected[len(self.transcript) :] if line.startswith("C")]:
            raise self._wrong(number, "the transcript lacks what the client said")
        return report_lines(report)

    def _wrong(self, number: int, words: str) -> DialogueError:
        return wrong(self.dialogue.path, number, words)


def _server_said(line: bytes) -> str:
    return "S: " + decoded(line.removesuffix(b"\r"))
