"""docs/tls.rst: its table is what comes of the sandbox's exchangers today."""

from __future__ import annotations

from typing import Any

import pytest
from docutils.core import publish_string
from twisted.internet import reactor as global_reactor

from docs import make_tls
from twisted_probe.sandbox.catalogue.starttls import ODDITIES
from twisted_probe.vocabulary.outcome import Reason

reactor: Any = global_reactor
TEXT = make_tls.PAGE.read_text("utf-8")


@pytest.mark.deadline(60)
async def test_its_table_is_current() -> None:
    rows = await make_tls.met(reactor)
    assert make_tls.page(TEXT, rows) == TEXT, "run: python -m docs.make_tls"
    for row in rows:
        never, opportunistic, required = row.outcomes
        assert never.tls is None
        # Nobody is asked without a certificate that verifies, where that is required.
        if required.reason is Reason.ACCEPTED:
            assert required.tls is not None
            assert required.tls.verified
        assert opportunistic.reason is not Reason.TLS_FAILED


def test_it_shows_exchangers_that_there_are() -> None:
    assert {name.rstrip("+") for name in make_tls.SHOWN} <= {each.name for each in ODDITIES}


def test_it_renders_without_a_warning() -> None:
    publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )
