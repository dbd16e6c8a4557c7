"""The benchmark of handshakes does what it says; nothing is timed here."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from benchmarks import handshakes
from benchmarks.handshakes import Prober, exchanger, shake
from twisted_probe.smtp.tls import Handshake

VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_3_VERSION, SSL.TLS1_2_VERSION])


def test_every_way_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKES", 2)
    monkeypatch.setattr(handshakes, "ROUNDS", 1)
    handshakes.main()
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [version, way] for version in ("TLSv1.3", "TLSv1.2") for way in ("shared", "own", "resumed")
    ]


@VERSIONS
def test_a_session_that_is_resumed_shows_no_certificate(version: int) -> None:
    """What the prober would have to keep with a ticket: the authority here is unknown."""
    context, prober = exchanger(version), Prober()
    made = []

    def way() -> tuple[Handshake, SSL.Session | None]:
        made.append(prober.resumed())
        return made[-1]

    for _ in range(2):
        _, prober.last = shake(context, way)
    (first, _), (second, ticket) = made
    assert ticket is not None
    assert first.report().problem == "its authority is unknown"
    assert second.report().problem is None
