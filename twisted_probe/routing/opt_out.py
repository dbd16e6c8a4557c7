"""Those who are never asked, because they or their operators do not want it.

Knows the list and who is on it; not which file it came from (`daemon.config`).
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_probe.vocabulary.address import Address, AddressError, parse_address


class OptOut:
    """Addresses and domains that are never asked.

    An entry is an address, a domain (`example.net`), or, behind a full stop, a domain with all
    below it (`.example.net`). Case makes no difference. Raises ValueError naming an entry that is
    none of these.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._addresses: set[tuple[str, str]] = set()
        self._domains: set[str] = set()
        for entry in entries:
            self._add(entry)

    def _add(self, entry: str) -> None:
        text = entry.removeprefix(".") if "@" not in entry else entry
        try:
            address = parse_address(text if "@" in text else f"any@{text}")
        except AddressError as error:
            raise ValueError(f"{entry}: it is neither an address nor a domain: {error}") from None
        if "@" in text:
            self._addresses.add((address.local.lower(), address.domain))
        else:
            self._domains.add(address.domain)
            if text != entry:
                self._domains.add(f".{address.domain}")

    def has(self, address: Address) -> bool:
        """Whether this recipient is never asked."""
        domain, above = address.domain, address.domain
        if domain in self._domains or (address.local.lower(), domain) in self._addresses:
            return True
        while above:
            _, _, above = above.partition(".")
            if f".{above}" in self._domains:
                return True
        return False


def entries_of(text: str) -> list[str]:
    """The entries of a file: one a line, blank lines and those behind a # left out."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


NOBODY = OptOut()
