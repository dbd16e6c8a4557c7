"""An exchanger: a host that takes mail for a domain, at one of its addresses.

Knows the values only; `routing.exchangers` finds them in the DNS.
"""

from __future__ import annotations

from ipaddress import ip_address

from attrs import field, frozen

#: RFC 5321 section 4.5.4.2: mail between hosts goes to TCP port 25.
SMTP_PORT = 25


def _literal(text: str) -> str:
    return str(ip_address(text))


@frozen
class Exchanger:
    """One address of one exchanger.

    `name` is the MX target in lower case without the final dot, `preference` its MX preference
    (0 for an implicit MX), `best` whether no other exchanger of the domain is preferred to it:
    what a backup accepts says little of the mailbox (design rule 3).
    """

    name: str
    address: str = field(converter=_literal)
    preference: int = 0
    best: bool = True

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4
