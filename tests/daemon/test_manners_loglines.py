"""Events as lines: for people, for programs, and whatever a stranger puts into them."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ReactorNotRunning
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python import log as legacy
from twisted.python.failure import Failure

from twisted_probe.daemon.loglines import (
    MAX_MESSAGE,
    MAX_TRACEBACK,
    MAX_VALUE,
    as_json,
    as_text,
    is_noise,
    kind_of,
    record_of,
)
from twisted_probe.daemon.masking import masked

#: What could end a line, begin another, move a cursor or turn the direction of writing.
NASTY = "a\r\n2026-01-01T00:00:00.000Z info fake\x1b[2J\x9b1m\u2028\u2029\u202e\x00\x7fz"


class Caught:
    """The events of a logger."""

    def __init__(self, namespace: str = "twisted_probe.daemon.service") -> None:
        self.events: list[LogEvent] = []
        self.log = Logger(namespace, observer=self.events.append)  # type: ignore[arg-type]

    @property
    def event(self) -> LogEvent:
        (event,) = self.events
        return {**event, "log_time": 1_800_000_000.25}

    def text(self, **settings: Any) -> list[str]:
        return as_text(record_of(self.event, masked), **settings)

    def json(self) -> dict[str, Any]:
        (line,) = as_json(record_of(self.event, masked))
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def caught() -> Caught:
    return Caught()


def legacy_event(*words: object, **fields: Any) -> LogEvent:
    events: list[LogEvent] = []
    publisher = legacy.LogPublisher()
    publisher._publishPublisher.addObserver(events.append)
    publisher.msg(*words, **fields)
    return events[0]


def failing(words: str = "no") -> Failure:
    try:
        raise RuntimeError(words)
    except RuntimeError:
        return Failure()


# ---------------------------------------------------------------- for people


def test_a_line(caught: Caught) -> None:
    caught.log.info("{job} is done", job="list.txt", lines=3, note="two words", empty="")

    assert caught.text() == [
        "2027-01-15T08:00:00.250Z info     daemon.service: list.txt is done "
        'lines=3 note="two words" empty=""'
    ]


def test_where_time_and_level_are_kept_by_others(caught: Caught) -> None:
    caught.log.warn("{job} is done", job="list.txt")

    assert caught.text(dated=False) == ["daemon.service: list.txt is done"]


def test_a_traceback_stands_below(caught: Caught) -> None:
    caught.log.failure("a batch failed", failing("first\nsecond"), job="list.txt")

    first, *rest = caught.text()
    assert first.endswith(
        " critical daemon.service: a batch failed job=list.txt "
        'error="RuntimeError: first\\x0asecond"'
    )
    assert rest[0] == "\tTraceback (most recent call last):"
    assert rest[-2:] == ["\tbuiltins.RuntimeError: first", "\tsecond"]
    assert all(line.startswith("\t") for line in rest)


def test_an_error_without_words(caught: Caught) -> None:
    """As a Deferred logs that nobody has waited for."""
    caught.log.failure("", failing("no"))

    assert caught.text()[0].endswith(" critical daemon.service: RuntimeError: no")


@pytest.mark.parametrize("where", ["message", "field", "failure", "legacy", "name"])
def test_nobody_can_forge_a_line(caught: Caught, where: str) -> None:
    if where == "message":
        caught.log.info("{reply}", reply=NASTY)
    elif where == "field":
        caught.log.info("hello", reply=NASTY, more=[NASTY, {"key": NASTY}], raw=NASTY.encode())
    elif where == "failure":
        caught.log.failure("hello", failing(NASTY))
    elif where == "name":
        caught.log.info("hello", **{NASTY: 1})
    else:
        caught.events.append(legacy_event(NASTY, isError=1))

    lines = caught.text()
    assert not any(set("\r\n\x1b\x9b\u2028\u2029\u202e\x00\x7f") & set(line) for line in lines)
    # What looks like a beginning is not one.
    assert [line for line in lines[1:] if not line.startswith("\t")] == []
    (line,) = as_json(record_of(caught.event, masked))
    assert line.isascii()
    assert line.isprintable()


def test_values_cannot_pass_for_other_fields(caught: Caught) -> None:
    caught.log.info("hello", reply='x level=critical "', source="192.0.2.1")

    assert caught.text()[0].endswith(r' hello reply="x level=critical \"" source=192.0.2.1')


# ---------------------------------------------------------------- for programs


class Colour(enum.Enum):
    RED = "red"


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_an_object(caught: Caught) -> None:
    caught.log.info(
        "{job} is done",
        job="list.txt",
        lines=3,
        share=0.5,
        endless=float("inf"),
        final=True,
        nothing=None,
        colour=Colour.RED,
        path=Path("/srv"),
        names=("b", "c"),
        counts={"ok": 1},
        raw=b"\xffx",
        time="now",
    )

    assert caught.json() == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "info",
        "namespace": "daemon.service",
        "kind": "{job} is done",
        "message": "list.txt is done",
        "job": "list.txt",
        "lines": 3,
        "share": 0.5,
        "endless": "inf",
        "final": True,
        "nothing": None,
        "colour": "red",
        "path": "/srv",
        "names": ["b", "c"],
        "counts": {"ok": 1},
        "raw": "\\xffx",
        "time_": "now",
    }


def test_texts_are_exact(caught: Caught) -> None:
    caught.log.info("hello", reply=NASTY, lone="\ud800")

    assert caught.json()["reply"] == NASTY
    assert caught.json()["lone"] == "\ud800"


def test_a_failure(caught: Caught) -> None:
    caught.log.failure("a batch failed", failing("first\nsecond"))

    found = caught.json()
    assert found["level"] == "critical"
    assert found["error"] == "RuntimeError: first\nsecond"
    assert found["traceback"].startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize("value", [Odd(), [Odd()], {Odd(): Odd()}])
def test_what_cannot_be_shown(caught: Caught, value: object) -> None:
    caught.log.info("hello", odd=value)

    assert "hello" in caught.text()[0]
    assert caught.json()["message"] == "hello"


def test_a_format_that_cannot_be_filled(caught: Caught) -> None:
    caught.log.info("{nothing.here} {", lines=3)

    assert "lines" in caught.text()[0]
    assert caught.json()["lines"] == 3


def test_deep_and_wide_values(caught: Caught) -> None:
    deep: list[Any] = []
    deep.append(deep)
    caught.log.info("hello", deep=deep, wide=range(10**9), many=list(range(1000)))

    assert len(caught.json()["many"]) == 50
    assert len(caught.text()[0]) < 1000


def test_long_texts_are_cut(caught: Caught) -> None:
    caught.log.failure("{reply}", failing("x" * 10**6), reply="y" * 10**6, field="z" * 10**6)

    found = caught.json()
    assert len(found["message"]) == MAX_MESSAGE
    assert len(found["reply"]) == len(found["field"]) == len(found["error"]) == MAX_VALUE
    assert len(found["traceback"]) < MAX_TRACEBACK + 10
    assert found["traceback"].startswith("Traceback")
    assert found["traceback"].rstrip().endswith("xxx")


# ---------------------------------------------------------------- addresses


def test_no_address_anywhere(caught: Caught) -> None:
    secret = "secret.person@example.net"
    caught.log.failure(
        "while {address} was asked",
        failing(f"<{secret}>"),
        address=secret,
        more=[secret, {"key": secret, secret: 1}],
        raw=secret.encode(),
    )

    text = "\n".join(caught.text()) + json.dumps(caught.json())
    assert "secret.person" not in text
    assert "***@example.net" in text


def test_nor_in_what_is_no_format(caught: Caught) -> None:
    caught.events.append(legacy_event("secret.person@example.net", isError=1))

    assert "secret" not in json.dumps(caught.json())
    assert "secret" not in caught.text()[0]


def test_addresses_where_they_are_wanted(caught: Caught) -> None:
    caught.log.info("{address} was asked", address="ann@example.net")

    (line,) = as_text(record_of(caught.event, str))
    assert line.endswith(" ann@example.net was asked")


# ---------------------------------------------------------------- noise, and kinds


@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        ("twisted.internet.base", "Main loop terminated."),
        ("twisted.names.dns.DNSDatagramProtocol", "DNSDatagramProtocol starting on 1234"),
        ("some.library", "Starting factory {factory!r}"),
        ("twisted_probe.smtp.factory.ProbeFactory", "Stopping factory {factory!r}"),
    ],
)
def test_noise(namespace: str, words: str) -> None:
    caught = Caught(namespace)
    caught.log.info(words, factory=None)

    assert is_noise(caught.event)


@pytest.mark.parametrize(
    "words", ["(UDP Port 1234 Closed)", "set uid/gid 1/1", "<Port> starting on 25"]
)
def test_noise_of_old(words: str) -> None:
    assert is_noise(legacy_event(words))


def test_details_are_noise(caught: Caught) -> None:
    caught.log.debug("hello")

    assert is_noise(caught.event)


def test_who_has_ended_us_is_none() -> None:
    """Twisted has said it in either way."""
    caught = Caught("twisted.internet.base")
    caught.log.info("Received SIGTERM, shutting down.")

    assert not is_noise(caught.event)
    assert not is_noise(legacy_event("Received SIGTERM, shutting down."))


def test_who_has_ended_us_twice_is_noise() -> None:
    caught = Caught("twisted.internet.base")
    caught.log.failure("while calling from thread", Failure(ReactorNotRunning()))

    assert is_noise(caught.event)


@pytest.mark.parametrize("level", [LogLevel.warn, LogLevel.error, LogLevel.critical])
def test_trouble_is_none(level: Any) -> None:
    caught = Caught("twisted.internet.base")
    caught.log.emit(level, "trouble")

    assert not is_noise(caught.event)
    assert not is_noise(legacy_event("trouble", isError=1))


@pytest.mark.parametrize("namespace", ["twisted_probe.jobs.intake", "stdout", "my.own.plugin"])
def test_others_may_speak(namespace: str) -> None:
    caught = Caught(namespace)
    caught.log.info("hello")

    assert not is_noise(caught.event)


def kinds(*events: LogEvent) -> int:
    return len({kind_of(event) for event in events})


def event_of(words: str, **fields: Any) -> LogEvent:
    caught = Caught()
    caught.log.warn(words, **fields)
    return caught.event


def test_kinds() -> None:
    assert kinds(event_of("{n} lost", n=1), event_of("{n} lost", n=2)) == 1
    assert kinds(event_of("one"), event_of("two")) == 2
    assert kinds(event_of("one", site="a"), event_of("one", site="b")) == 2
    assert kind_of(event_of("one", site="a")).name == kind_of(event_of("one", site="b")).name
    assert kinds(legacy_event("one"), legacy_event("two")) == 2


def test_failures_are_told_apart_by_type_and_place() -> None:
    def event(failure: Failure) -> LogEvent:
        caught = Caught()
        caught.log.failure("", failure)
        return caught.event

    def elsewhere() -> Failure:
        try:
            raise RuntimeError
        except RuntimeError:
            return Failure()

    assert kinds(event(failing("one")), event(failing("two"))) == 1
    assert kinds(event(failing()), event(elsewhere())) == 2
    assert kinds(event(failing()), event(Failure(ValueError("made")))) == 2


def test_a_pure_module() -> None:
    """Formatting needs no reactor: logs are begun before twistd has forked."""
    code = (
        "import sys, twisted_probe.daemon.logs;assert 'twisted.internet.reactor' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
