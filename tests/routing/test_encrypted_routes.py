"""TLS through the routing (cases.md rows 68 to 80): the second connection, what is remembered for
seven days, the modes, and the sites where they are others. The handshakes are real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.routing.customs import Override
from twisted_probe.routing.memory import MANNER_LIFE
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.catalogue.starttls import GOOD, offering
from twisted_probe.sandbox.certificates import Certificate, authority_in_pem
from twisted_probe.sandbox.habits import DropsAfter
from twisted_probe.sandbox.temper import Temper
from twisted_probe.smtp.tls import Tls, TlsMode
from twisted_probe.vocabulary.outcome import Outcome, Reason

from .town_square import Town, town

HOST, OTHER = "mx.example.net", "mx2.example.net"
NAMES = {
    "a.example": [f"MX 10 {HOST}", f"MX 20 {OTHER}"],
    HOST: ["A 192.0.2.1"],
    OTHER: ["A 192.0.2.2"],
}
ALONE = {**NAMES, "a.example": [f"MX 10 {HOST}"]}
BEFORE = "an earlier handshake with the exchanger failed"
DAY = 86400.0
BROKEN = offering(starttls=Answer("220 Go ahead", then=Then.CLOSE))
WANTS_TLS = CATALOGUE["tls-wanted"].temper
WANTS_TLS_IN_VAIN = CATALOGUE["tls-wanted-in-vain"].temper
NEVER = Tls(mode=TlsMode.NEVER)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("trust") / "authority.pem"
    file.write_bytes(authority_in_pem())
    return str(file)


@pytest.fixture
def required(trusted: str) -> Tls:
    return Tls(mode=TlsMode.REQUIRED, ca_file=trusted)


@pytest.fixture
def street(trusted: str) -> Iterator[Town]:
    with town(ALONE, tls=Tls(ca_file=trusted), control=False) as t:
        yield t


def ask(t: Town, local: str = "ann") -> Outcome:
    return t.square.wait(t.prober.probe(f"{local}@a.example"))


def verbs(record: Any) -> list[list[str]]:
    """What each session has said, as far as it was SMTP."""
    known = {"EHLO", "STARTTLS", "MAIL", "RCPT", "QUIT"}
    return [[verb for verb in each.verbs if verb in known] for each in record.sessions]


PLAIN = ["EHLO", "MAIL", "RCPT", "QUIT"]
TRIED = ["EHLO", "STARTTLS"]
ENCRYPTED = [*TRIED, *PLAIN]


def test_row_68(street: Town) -> None:
    record = street.square.settle("192.0.2.1", offering(GOOD), HOST)
    outcome = ask(street)
    assert outcome.reason is Reason.ACCEPTED
    assert outcome.tls is not None
    assert (outcome.tls.verified, outcome.tls.problem) == (True, None)
    assert verbs(record) == [ENCRYPTED]


def test_row_70_a_failed_handshake_and_one_new_connection_in_the_same_attempt(
    street: Town,
) -> None:
    record = street.square.settle("192.0.2.1", BROKEN, HOST)
    outcome = ask(street)
    assert (outcome.reason, outcome.attempts) == (Reason.ACCEPTED, 1)
    assert outcome.tls is not None
    words = "the handshake failed: the connection was reset or broke"
    assert (outcome.tls.version, outcome.tls.problem) == (None, words)
    assert verbs(record) == [TRIED, PLAIN]


def test_row_70_it_is_remembered_for_seven_days(street: Town) -> None:
    record = street.square.settle("192.0.2.1", BROKEN, HOST)
    ask(street)
    street.square.advance(MANNER_LIFE - DAY)
    outcome = ask(street, "ben")
    assert outcome.tls is not None
    assert (outcome.reason, outcome.tls.problem) == (Reason.ACCEPTED, BEFORE)
    assert verbs(record)[2:] == [PLAIN]
    street.square.advance(2 * DAY)
    assert MANNER_LIFE == 7 * DAY
    assert ask(street, "carl").reason is Reason.ACCEPTED
    assert verbs(record)[3:] == [TRIED, PLAIN]


def test_row_70_it_is_no_trouble_that_uses_up_an_attempt(street: Town) -> None:
    """Neither the first exchanger's trouble nor the second's handshake leaves nobody asked."""
    with town(NAMES, control=False) as t:
        t.square.settle("192.0.2.1", Temper(greeting="421 4.3.2 going down"), HOST)
        record = t.square.settle("192.0.2.2", BROKEN, OTHER)
        outcome = ask(t)
        assert outcome.tls is not None
        assert outcome.tls.problem is not None
        assert outcome.exchanger == OTHER
        assert verbs(record) == [TRIED, PLAIN]


def test_row_70_it_is_remembered_where_the_attempt_ends_with_it(street: Town) -> None:
    """The plaintext behind it is refused: the next attempt begins with plaintext all the same."""
    refusing = offering(starttls=Answer("220 Go ahead", then=Then.CLOSE), mail="451 4.3.0 later")
    record = street.square.settle("192.0.2.1", refusing, HOST)
    ask(street)
    ask(street)
    assert verbs(record) == [TRIED, PLAIN, PLAIN]


def test_row_71_and_required(street: Town, required: Tls) -> None:
    """A wrong name is no obstacle; where it is, nobody is asked."""
    record = street.square.settle("192.0.2.1", CATALOGUE["tls-wrong-name"].temper, HOST)
    words = f"it is for www.example.com, example.com, not for {HOST}"
    outcome = ask(street)
    assert outcome.tls is not None
    assert (outcome.reason, outcome.tls.problem) == (Reason.ACCEPTED, words)
    with town(ALONE, tls=required, control=False) as strict:
        record = strict.square.settle("192.0.2.1", CATALOGUE["tls-wrong-name"].temper, HOST)
        outcome = ask(strict)
        assert (outcome.reason, outcome.final) == (Reason.TLS_FAILED, False)
        assert outcome.text == f"192.0.2.1: TLS is required, and {words}"
        assert outcome.tls is not None
        assert (outcome.tls.verified, outcome.tls.problem) == (False, words)
        assert verbs(record) == [[*TRIED, "QUIT"]]


@pytest.mark.parametrize(
    ("temper", "words"),
    [
        (BROKEN, "the handshake failed: the connection was reset or broke"),
        (
            offering(starttls="454 4.7.0 not now"),
            "TLS is required, and STARTTLS was answered 454 4.7.0 not now",
        ),
        (Temper(), "TLS is required, and the exchanger offers no STARTTLS"),
        (
            offering(Certificate(is_expired=True)),
            "TLS is required, and it expired on 2001-02-03",
        ),
    ],
    ids=["broken", "refused", "not offered", "expired"],
)
def test_required_never_asks_in_plaintext(required: Tls, temper: Temper, words: str) -> None:
    """Rows 69 to 73; today and tomorrow."""
    with town(ALONE, tls=required, control=False) as t:
        record = t.square.settle("192.0.2.1", temper, HOST)
        for _ in range(3):
            outcome = ask(t)
            assert outcome.reason is Reason.TLS_FAILED
            assert outcome.text == f"192.0.2.1: {words}"
            t.square.advance(DAY)
        assert not any("MAIL" in each for each in verbs(record))
        assert len(verbs(record)) == 3


def test_required_is_met_by_another_exchanger(required: Tls) -> None:
    with town(NAMES, tls=required, control=False) as t:
        t.square.settle("192.0.2.1", BROKEN, HOST)
        t.square.settle("192.0.2.2", offering(GOOD), OTHER)
        outcome = ask(t)
        assert (outcome.exchanger, outcome.code) == (OTHER, 250)
        assert outcome.tls is not None
        assert outcome.tls.verified


def test_a_site_has_its_own_mode(trusted: str) -> None:
    """Both ways: less than everywhere, and more; the longest name wins."""
    sites = [
        Override(name=".example.net", tls=TlsMode.REQUIRED),
        Override(name=OTHER, tls=TlsMode.NEVER),
    ]
    with town(NAMES, tls=Tls(ca_file=trusted), sites=sites, control=False) as t:
        first = t.square.settle("192.0.2.1", BROKEN, HOST)
        second = t.square.settle("192.0.2.2", offering(GOOD), OTHER)
        outcome = ask(t)
        assert (outcome.exchanger, outcome.code, outcome.tls) == (OTHER, 250, None)
        assert verbs(first) == [TRIED]
        assert verbs(second) == [PLAIN]


@pytest.mark.parametrize("temper", [WANTS_TLS, WANTS_TLS_IN_VAIN])
def test_row_77_in_mode_never(temper: Temper) -> None:
    with town(ALONE, tls=NEVER, control=False) as t:
        record = t.square.settle("192.0.2.1", temper, HOST)
        outcome = ask(t)
        assert outcome.reason is Reason.POLICY
        assert (outcome.stage, outcome.code, outcome.tls) == ("mail", 530, None)
        assert outcome.text == "Must issue a STARTTLS command first"
        assert verbs(record) == [PLAIN]


def test_row_77_what_failed_once_does_not_shut_us_out_for_days(street: Town) -> None:
    """The exchanger demands TLS, and its handshakes failed on a bad day."""
    street.square.settle("192.0.2.1", WANTS_TLS_IN_VAIN, HOST)
    outcome = ask(street)
    assert outcome.reason is Reason.POLICY
    street.square.advance(DAY)
    record = street.square.settle("192.0.2.1", WANTS_TLS, HOST)
    assert ask(street).reason is Reason.ACCEPTED
    assert verbs(record) == [PLAIN, ENCRYPTED]


def test_row_78_a_session_lost_under_tls_is_asked_again_in_plaintext(street: Town) -> None:
    """Of the next attempt that says nothing, whatever else was learned."""
    lost = offering(GOOD, encrypted=Temper(habits=(DropsAfter(3, Then.ABORT),)))
    record = street.square.settle("192.0.2.1", lost, HOST)
    outcome = ask(street)
    assert outcome.tls is not None
    words = "the session with TLS failed: the connection was reset or broke"
    assert outcome.tls.problem == words
    assert verbs(record)[1] == PLAIN
    ask(street)
    assert verbs(record)[2][:3] == [*TRIED, "EHLO"]


def test_row_79_early_words_are_no_reason_for_plaintext(street: Town) -> None:
    record = street.square.settle("192.0.2.1", CATALOGUE["tls-early"].temper, HOST)
    assert ask(street).reason is Reason.PROTOCOL_ERROR
    assert verbs(record) in ([TRIED], [[*TRIED, "EHLO"]])


@pytest.mark.parametrize("name", ["tls-injected", "tls-injected-part"])
def test_row_72_injection_is_no_reason_for_plaintext(street: Town, name: str) -> None:
    record = street.square.settle("192.0.2.1", CATALOGUE[name].temper, HOST)
    assert ask(street).reason is Reason.PROTOCOL_ERROR
    assert verbs(record) == [TRIED]
