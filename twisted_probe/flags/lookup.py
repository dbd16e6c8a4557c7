"""The flags of an address, put together.

Knows which part of an address each flag is about; where each comes from is in the other modules.
"""

from __future__ import annotations

from functools import lru_cache

from twisted_probe.flags.lists import is_disposable, is_free
from twisted_probe.flags.roles import is_role_account
from twisted_probe.flags.typos import meant
from twisted_probe.vocabulary.address import AddressError, parse_address
from twisted_probe.vocabulary.flags import NO_FLAGS, Flags

#: Domains whose flags are kept: in a list the same ones come again and again.
_DOMAINS = 4096


def flags_of(address: str) -> Flags:
    """The flags of the address in this text; none of a text that is no address.

    Asks nobody. The lists are imported at the first call, in about 10 ms. Never raises.
    """
    try:
        parsed = parse_address(address)
    except AddressError:
        return NO_FLAGS
    disposable, free, known = _of_domain(parsed.domain)
    return Flags(
        disposable=disposable,
        role_account=is_role_account(parsed.local),
        free_provider=free,
        suggestion=None if known is None else f"{parsed.text.rpartition('@')[0]}@{known}",
    )


@lru_cache(_DOMAINS)
def _of_domain(domain: str) -> tuple[bool | None, bool | None, str | None]:
    return is_disposable(domain), is_free(domain), meant(domain)
