"""Handshakes without TLS: whoever says that they are done says what they have found."""

from __future__ import annotations

from typing import Any, cast

from attrs import frozen

from twisted_probe.smtp.tls import Encryption, TlsClient
from twisted_probe.vocabulary.outcome import TlsReport

NAME = "mx.example.net"
GOOD = TlsReport("TLSv1.3", "TLS_AES_256_GCM_SHA384", verified=True)
POOR = TlsReport("TLSv1.2", "AES256-SHA", verified=False, problem="it is self-signed")


@frozen
class Hands:
    """What makes a handshake, and the handshake: it finds what it is told."""

    finding: TlsReport = GOOD

    def report(self) -> TlsReport:
        return self.finding

    def handshake(self, name: str) -> Hands:
        assert name == NAME
        return self


def encryption(finding: TlsReport = GOOD, **wishes: Any) -> Encryption:
    """What a session does about STARTTLS, where its handshakes find this."""
    return Encryption(cast(TlsClient, Hands(finding)), NAME, **wishes)
