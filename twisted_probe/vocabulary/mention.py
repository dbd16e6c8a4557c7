"""Whether a text means, or mentions, the mailbox of one address as people take it.

Knows that people see no difference between Ann@ and ann@, and in which forms an address stands
among other words; not where such texts lie. For erasing alone: whoever asks keeps to RFC 5321
section 2.4, by which only the exchanger may know the two for one.
"""

from __future__ import annotations

import re
import unicodedata

import idna

from twisted_probe.vocabulary.address import Address, AddressError, parse_entry


def folded(text: str) -> str:
    """What texts share that differ in case alone, or in how an accent is spelt."""
    return unicodedata.normalize("NFC", text).casefold()


class Mention:
    """What is meant by `address`."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.domain = address.domain
        self._local = folded(address.local)
        path = address.forward_path.decode()
        # What it means, and what it is on the wire: quoted, where it has to be.
        self._locals = {self._local, folded(path.removesuffix(f"@{address.domain}"))}
        domains = {folded(address.domain), folded(_in_words(address.domain))}
        # Before it stands nothing that people take for a part of it, and behind it no more of the
        # domain; a full stop may end a sentence.
        self._word = re.compile(
            rf'(?<![\w.+-])"?(?:{_any_of(self._locals)})"?[ \t]*@[ \t]*(?:{_any_of(domains)})'
            r"(?![\w-]|\.[\w-])"
        )

    def is_key(self, domain: str, local: str) -> bool:
        """Whether this is the key of a mailbox (`Address.key`) that is meant."""
        return domain == self.domain and folded(local) == self._local

    def is_entry(self, text: str) -> bool:
        """Whether an entry of a list is meant: one that is an address by what it says, any other
        where it has the address in it, as a whole word."""
        # An apostrophe before it keeps a spreadsheet from taking it for a formula.
        return self._is_it(text) or (text.startswith("'") and self._is_it(text[1:]))

    def _is_it(self, text: str) -> bool:
        try:
            return self.is_key(*parse_entry(text).key)
        except AddressError:
            return self.is_in(text)

    def is_in(self, text: str) -> bool:
        """Whether a text has the address in it, as a whole word."""
        text = folded(text)
        # The first look costs a hundredth of the second.
        is_likely = any(local in text for local in self._locals)
        return is_likely and self._word.search(text) is not None


def _in_words(domain: str) -> str:
    """A domain in U-labels, as it is written where it can be."""
    try:
        return idna.decode(domain)
    except ValueError:
        return domain


def _any_of(texts: set[str]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts))
