"""What the DNS says of mail, as values, and the ways in which it says nothing.

Knows no question; `routing.names` puts them.
"""

from __future__ import annotations

from attrs import frozen


class NoSuchName(Exception):
    """NXDOMAIN: the name does not exist, with any type."""


class NameTrouble(Exception):
    """No answer that can be trusted: SERVFAIL, REFUSED, a timeout, garbage, a CNAME loop."""


class NoSocket(NameTrouble):
    """This machine had no socket or port left to ask with; it says nothing of the DNS."""


@frozen(order=True)
class MailExchanger:
    """One MX record; `name` is in lower case and without the final dot, "" for the root."""

    preference: int
    name: str
