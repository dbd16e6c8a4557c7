"""The whole street over loopback sockets: the prober, its resolver, and every oddity at once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor as global_reactor

from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.hostile import HASTE, Encounter, hostile_town, meet_all
from twisted_probe.sandbox.quirks import SaysMore
from twisted_probe.sandbox.record import SessionRecord
from twisted_probe.sandbox.temper import Temper
from twisted_probe.sandbox.town import Town
from twisted_probe.testing import options_for

from .oddities import KNOWN_FAULTS

reactor: Any = global_reactor


def check_manners(session: SessionRecord, temper: Temper) -> None:
    """No forbidden command, nothing before the greeting or behind EHLO, and no group where none
    was offered."""
    offers = any(keyword.upper() == "PIPELINING" for keyword in temper.keywords)
    # Who says more than was asked for is still talking when the next command comes, rightly.
    talks_on = any(isinstance(habit, SaysMore) for habit in temper.habits)
    before = ""
    for exchange in session.exchanges:
        if before == "STARTTLS" and temper.tls is None and temper.answer_to_starttls().is_positive:
            break  # half of a handshake
        assert not exchange.forbidden, exchange
        if exchange.early and not talks_on:
            assert offers, exchange
            assert before in ("MAIL", "RCPT", "RSET"), exchange
        before = exchange.verb


async def visited(town: Town) -> list[Encounter]:
    """All of the street, at once; everything is closed again."""
    await town.start(reactor)
    prober = Prober(reactor, **options_for(town), **HASTE, limits=Limits(rest=0.0))
    try:
        return await meet_all(prober, reactor)
    finally:
        await prober.close()
        await town.stop()


@pytest.mark.deadline(120)
async def test_every_oddity_over_sockets() -> None:
    town = hostile_town()
    encounters = await visited(town)
    wrong = {
        encounter.oddity.name: encounter.observed_in_words
        for encounter in encounters
        if not encounter.is_as_expected
    }
    assert wrong.keys() == KNOWN_FAULTS.keys(), wrong
    for oddity in CATALOGUE.values():
        exchanger = town.exchangers[f"mx.{oddity.domain}"]
        assert exchanger.record.sessions
        for session in exchanger.record.sessions:
            check_manners(session, oddity.temper)
    for encounter in encounters:
        for outcome in encounter.outcomes.values():
            assert (outcome.text or "").isprintable()
