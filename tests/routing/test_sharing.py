"""Domains of one exchanger share sessions; and what the provider file makes of that."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_probe.routing.customs import Customs, Override, default_providers, load_providers
from twisted_probe.routing.limits import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.toml_text import TomlProblem

from .town_square import ONE, town

ANN = residents("ann ben")


def tenants(number: int, host: str) -> dict[str, list[str]]:
    return {
        **{f"d{n}.example": [f"MX 10 {host}"] for n in range(number)},
        host: ["A 192.0.2.1"],
    }


def ask(t: Any, number: int) -> Any:
    asking = t.prober.probe_many([f"ann@d{n}.example" for n in range(number)])
    assert {each.reason for each in t.square.wait(asking)} == {Reason.ACCEPTED}


def test_those_who_wait_share_the_next_session() -> None:
    with town(tenants(8, "mx.example"), sources=[ONE], limits=Limits()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        ask(t, 8)
        assert len(record.sessions) == 2
        verbs = record.sessions[1].verbs
        assert verbs.count("MAIL") == 1
        assert "RSET" not in verbs


def test_a_provider_may_want_each_domain_by_itself() -> None:
    host = "mx.mail.protection.outlook.com"
    with town(tenants(8, host), sources=[ONE], limits=Limits()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        ask(t, 8)
        assert len(record.sessions) == 2
        verbs = record.sessions[1].verbs
        assert (verbs.count("MAIL"), verbs.count("RSET")) == (7, 6)


def test_who_is_not_reached_comes_next() -> None:
    limits = Limits(errors_per_session=3)
    with town(tenants(6, "mx.example"), sources=[ONE], limits=limits) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = t.prober.probe_many([f"x@d{n}.example" for n in range(6)])
        assert {each.reason for each in t.square.wait(asking)} == {Reason.NO_SUCH_MAILBOX}
        assert all(each.errors <= 3 for each in record.sessions)


def test_whoever_leaves_a_shared_session_leaves_it_to_the_others() -> None:
    with town(tenants(3, "mx.example"), sources=[ONE], limits=Limits()) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        first, second, third = (t.prober.probe(f"ann@d{n}.example") for n in range(3))
        second.addErrback(lambda failure: None)
        second.cancel()
        assert t.square.wait(third).reason is Reason.ACCEPTED
        assert t.square.wait(first).reason is Reason.ACCEPTED


def test_who_asks_about_one_domain_is_judged_together() -> None:
    """Somebody else's recipient explains a vague refusal as well as one's own."""
    with town(tenants(1, "mx.example"), sources=[ONE], limits=Limits()) as t:
        record = t.square.settle("192.0.2.1", Temper(mailboxes=ANN, unknown="550 Rejected"))
        ben, nobody, ann = (t.prober.probe(f"{who}@d0.example") for who in ("ben", "x", "ann"))
        assert t.square.wait(ann).reason is Reason.ACCEPTED
        assert t.square.wait(nobody).reason is Reason.NO_SUCH_MAILBOX
        assert t.square.wait(ben).reason is Reason.ACCEPTED
        # Each with the control, and nobody is asked twice.
        assert [each.verbs.count("RCPT") for each in record.sessions] == [2, 3]


def test_everybody_who_shared_it_has_the_session_in_the_hearing() -> None:
    names = tenants(3, "mx.example")
    with town(names, sources=[ONE], limits=Limits(), evidence=True) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        _, one, two = t.square.wait(t.prober.probe_many([f"ann@d{n}.example" for n in range(3)]))
        assert one.hearing is not None
        assert two.hearing is not None
        assert one.hearing.dialogues == two.hearing.dialogues
        assert one.hearing.bases.keys() == {("d1.example", "ann")}
        assert two.hearing.bases.keys() == {("d2.example", "ann")}


@pytest.mark.parametrize(
    ("exchanger", "site"),
    [
        ("aspmx.l.google.com", "google"),
        ("contoso-com.mail.protection.outlook.com", "microsoft-365"),
        ("outlook-com.olc.protection.outlook.com", "outlook"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx01.mail.icloud.com", "icloud"),
        ("smtp-in.orange.fr", "orange"),
        ("mx.example.net", None),
        ("google.com", None),
    ],
)
def test_the_providers(exchanger: str, site: str | None) -> None:
    assert Customs().site(exchanger) == site


def test_every_provider_has_a_ground() -> None:
    providers = default_providers()
    assert all(len(each.ground) > 30 for each in providers)
    suffixes = [suffix for each in providers for suffix in each.suffixes]
    assert len(set(suffixes)) == len(suffixes)


def test_the_operator_wins_over_the_provider_and_it_over_the_limits() -> None:
    customs = Customs(Limits(per_site=3), [Override(name=".icloud.com", recipients_per_session=9)])
    assert customs.at("mx01.mail.icloud.com").recipients_per_session == 9
    assert customs.at("mx01.mail.icloud.com").sessions == 3
    assert customs.at("smtp-in.orange.fr").sessions == 2
    assert customs.at("mx.example.net").sessions == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[provider]]\nname = "x"\nsuffixes = [".x"]', "provider[1]: it has no ground"),
        ("[[provider]]\nname = 1", "provider[1].name = 1: expected a text"),
        ('[[provider]]\nnames = "x"', "did you mean provider[1].name"),
    ],
)
def test_a_provider_file_that_is_none(text: str, words: str) -> None:
    with pytest.raises(TomlProblem) as problem:
        load_providers(text.encode(), "p.toml")
    assert words in str(problem.value)
