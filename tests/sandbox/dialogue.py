"""A dialogue with one exchanger, without a network: client says …, exchanger said …."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.record import SessionRecord
from twisted_probe.sandbox.temper import Temper


class Dialogue:
    """One session; a clock of its own unless the exchanger is shared."""

    def __init__(
        self,
        exchanger: Temper | ExchangerFactory,
        client: str = "127.0.0.21",
        port: int = 40001,
    ) -> None:
        if isinstance(exchanger, Temper):
            exchanger = ExchangerFactory(Clock(), exchanger, "mx.example.net")
        self.exchanger = exchanger
        assert isinstance(exchanger.clock, Clock)
        self.clock = exchanger.clock
        peer = IPv4Address("TCP", client, port)
        self.transport: Any = StringTransport(peerAddress=peer)
        self.protocol = exchanger.buildProtocol(None)
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]
        self.session: SessionRecord = exchanger.record.sessions[-1]

    def client_says(self, *lines: str) -> Dialogue:
        """The client sends these lines in one piece."""
        return self.client_sends("".join(f"{line}\r\n" for line in lines).encode())

    def client_sends(self, data: bytes) -> Dialogue:
        """The client sends these bytes."""
        self.protocol.dataReceived(data)
        return self

    def client_leaves(self) -> None:
        """The connection ends."""
        self.protocol.connectionLost(connectionDone)

    def seconds_pass(self, seconds: float) -> Dialogue:
        """Time passes."""
        self.clock.advance(seconds)
        return self

    def exchanger_sent(self) -> bytes:
        """The bytes that the exchanger sent since this was asked last."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def exchanger_said(self) -> list[str]:
        """The lines that it said since, without the line ends."""
        data = self.exchanger_sent().decode("utf-8", "surrogateescape")
        *lines, rest = data.split("\r\n")
        assert not rest, "the last line has no end"
        return lines

    def ask(self, *lines: str) -> list[str]:
        """Say these lines; what was said back."""
        return self.client_says(*lines).exchanger_said()

    def open_transaction(self, sender: str = "probe@example.org") -> Dialogue:
        """Greet, EHLO and MAIL, all taken."""
        self.ask("EHLO probe1.example.org", f"MAIL FROM:<{sender}>")
        return self

    @property
    def closed(self) -> bool:
        """Whether the exchanger ended it in an orderly way."""
        return bool(self.transport.disconnecting) and not self.aborted

    @property
    def aborted(self) -> bool:
        """Whether it ended it hard."""
        return bool(self.transport.disconnected)
