"""An address: the Mailbox of RFC 5321 section 4.1.2, widened to UTF-8 by RFC 6531 section 3.3.

Knows the grammar, the limits and the form on the wire, with idna for the domain; not whether a
domain takes mail, nor which address literals may be asked (`routing`).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import idna
from attrs import Attribute, field, frozen

from twisted_probe.vocabulary.escaping import cut, escaped

# RFC 5321 sections 4.5.3.1.1 to 4.5.3.1.3 and RFC 1035 section 2.3.4, in octets on the wire.
MAX_LOCAL_PART = 64
MAX_LABEL = 63
MAX_DOMAIN = 255
#: The path counts its angle brackets, so what stands between them has two octets less.
MAX_PATH = 256
#: Characters of a text that are looked at: four times what a path may be, for display names.
MAX_TEXT = 1000

# What stands around an address in lists: spreadsheets leave no-break and ideographic spaces.
_BLANKS = " \t\u00a0\u3000"
# Invisible, yet part of words in Persian and Indic domains; idna knows where they may stand.
_JOINERS = "\u200c\u200d"

# atext is all that is neither special nor control nor blank; the controls and format characters
# beyond ASCII are left to `_check_characters`.
_ATOM = r'[^\s\x00-\x1f\x7f()<>\[\]:;@\\,."]+'
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED_STRING = re.compile(r'"((?:[^"\\]|\\[ -~])*)"')
_QUOTED_PAIR = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'["\\]')
_LDH = rf"[A-Za-z0-9](?:[A-Za-z0-9-]{{0,{MAX_LABEL - 2}}}[A-Za-z0-9])?"
_LABEL = re.compile(_LDH)
_WIRE_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")

# The plain addresses, which are nearly all of a list, at one look: an ASCII dot-string, two or
# more labels of letters, digits and hyphens, none of them an A-label, the last not a number.
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_LABEL = rf"(?![Xx][Nn]--){_LDH}"
_PLAIN = re.compile(
    rf"(?=[^@]{{1,{MAX_LOCAL_PART}}}@)({_ATEXT}(?:\.{_ATEXT})*)"
    rf"@((?:{_PLAIN_LABEL}\.)+(?![0-9]+\Z){_PLAIN_LABEL})"
)

# A display name, up to the angle bracket that opens the address.
_DISPLAY_NAME = re.compile(rf'(?:{_QUOTED_STRING.pattern}|[^"<>@])*(?=<)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SEPARATOR = re.compile(r"[\s,;<>]")


class AddressError(ValueError):
    """The text is no address; the message says what is wrong with it and is safe to print."""


def _check_characters(instance: object, attribute: Attribute[str], value: str) -> None:
    """Refuse what could end a command, or do anything to a terminal: all that gets escaped."""
    if value.isascii() and value.isprintable():
        return
    of_text = attribute.name == "text"
    for position, character in enumerate(value, 1):
        if escaped(character) != character and not (of_text and character in _JOINERS):
            what = "address" if of_text else "local part"
            raise AddressError(f"{character!r} at position {position} of the {what}: not allowed")


def _check_domain(instance: object, attribute: Attribute[str], value: str) -> None:
    if _WIRE_DOMAIN.fullmatch(value):
        return
    if not value.startswith("[") or value != _canonical_literal(value):
        raise AddressError(f"the domain {_shown(value)} is not in its form on the wire")


@frozen
class Address:
    """One address; `parse_address` and its siblings make it out of text.

    `local` is what the local part means, without quotes and backslashes, byte-exact. `domain`
    is in A-labels and lower case, or an address literal in canonical spelling, `[192.0.2.1]` or
    `[IPv6:2001:db8::1]`. `text` is the address as the user wrote it, without display name, angle
    brackets and surrounding blanks; spellings of one mailbox are equal.

    Raises AddressError for any character that has no place in a command, so that an address
    built by hand injects nothing either. The limits on length are the parser's.
    """

    local: str = field(validator=_check_characters)
    domain: str = field(validator=_check_domain)
    text: str = field(validator=_check_characters, eq=False)

    @property
    def key(self) -> tuple[str, str]:
        """What two spellings of one mailbox share: RFC 5321 section 2.4 lets nothing else fold."""
        return self.domain, self.local

    @property
    def forward_path(self) -> bytes:
        """The form on the wire, without angle brackets; quoted only where it has to be."""
        local = self.local
        if not _DOT_STRING.fullmatch(local):
            local = '"' + _TO_ESCAPE.sub(r"\\\g<0>", local) + '"'
        return f"{local}@{self.domain}".encode()

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the exchanger must offer SMTPUTF8 (RFC 6531): the local part is not ASCII."""
        return not self.local.isascii()

    @property
    def literal(self) -> IPv4Address | IPv6Address | None:
        """The address in an address literal; None where the domain is a name."""
        if not self.domain.startswith("["):
            return None
        return ip_address(self.domain[1:-1].removeprefix("IPv6:"))

    def __str__(self) -> str:
        return self.text


def parse_address(text: str) -> Address:
    """Read an addr-spec and nothing around it: no blank, no comment, no source route.

    Raises AddressError, saying why, when the text is not a legal address, or one that no public
    mailbox can have: a domain without a dot, or with a number for its last label.
    """
    return _plain(text) or _mailbox(text)


def parse_entry(text: str) -> Address:
    """Read one entry of a list: `ann@example.org`, `<ann@example.org>`, `Ann <ann@example.org>`.

    Raises AddressError, saying why; also for a second address, and for text behind the first.
    """
    _check_length(text)
    text = text.strip(_BLANKS)
    if (address := _plain(text)) is not None:
        return address
    if (control := _CONTROL.search(text)) is not None:
        raise _unexpected(text, control.start())
    between = _QUOTED_STRING.sub("", text).split("@")[1:-1]
    if any(_SEPARATOR.search(part) for part in between):
        raise AddressError("it holds more than one address; an entry is one address")
    name = _DISPLAY_NAME.match(text)
    return parse_address(text if name is None else _unbracketed(text[name.end() :]))


def parse_reverse_path(text: str) -> Address | None:
    """Read a reverse-path, with or without angle brackets; None for the null one, "" or "<>".

    Raises AddressError, saying why, for anything else that is no address.
    """
    _check_length(text)
    text = text.strip(_BLANKS)
    if text.startswith("<"):
        text = _unbracketed(text)
    return parse_address(text) if text else None


def _plain(text: str) -> Address | None:
    match = _PLAIN.fullmatch(text)
    if match is None or len(text) > MAX_PATH - 2:
        return None
    return Address(match[1], match[2].lower(), text)


def _mailbox(text: str) -> Address:
    """The whole grammar, which decides about every address that is not plain."""
    _check_length(text)
    local, end = _local_part(text)
    domain = _canonical_domain(text[end + 1 :])
    address = Address(local, domain, text)
    octets = len(address.forward_path)
    if octets - len(domain) - 1 > MAX_LOCAL_PART:
        raise AddressError(f"the local part is longer than {MAX_LOCAL_PART} octets")
    if len(domain) > MAX_DOMAIN:
        raise AddressError(f"the domain is longer than {MAX_DOMAIN} octets")
    if octets > MAX_PATH - 2:
        raise AddressError(f"it is longer than {MAX_PATH - 2} octets")
    return address


def _local_part(text: str) -> tuple[str, int]:
    """What the local part means, and where the @ behind it stands."""
    quoted = text.startswith('"')
    match = (_QUOTED_STRING if quoted else _DOT_STRING).match(text)
    if quoted and match is None:
        raise AddressError("the quoted local part does not end, or has a stray backslash")
    end = 0 if match is None else match.end()
    if match is None or text[end : end + 1] != "@":
        raise _unexpected(text, end)
    return _QUOTED_PAIR.sub(r"\1", match[1]) if quoted else match[0], end


def _unexpected(text: str, position: int) -> AddressError:
    """The error for a local part that cannot go on at `position` (counted from 0)."""
    if not text:
        return AddressError("it is empty")
    if position == len(text):
        return AddressError("it has no @")
    if text[position] == "@":
        return AddressError("it has no local part before the @")
    return AddressError(f"{text[position]!r} at position {position + 1}: not allowed there")


def _canonical_domain(text: str) -> str:
    """A domain as A-labels in lower case, or an address literal in its one spelling."""
    if text.startswith("["):
        return _canonical_literal(text)
    try:
        labels = idna.uts46_remap(text, std3_rules=False).split(".")
    except ValueError as error:
        raise AddressError(f"the domain {_shown(text)}: {_words(error)}") from None
    if not labels[-1]:
        raise AddressError("the domain ends with a dot" if labels[1:] else "the domain is empty")
    if len(labels) < 2:
        raise AddressError(f"the domain {_shown(text)} has no dot")
    labels = [_canonical_label(label) for label in labels]
    if labels[-1].isdigit():
        raise AddressError(f"the domain {_shown(text)} ends with a number")
    return ".".join(labels)


def _canonical_label(label: str) -> str:
    """One label as it goes into the DNS.

    ASCII needs no idna, which would refuse registered names such as `ab--c`.
    """
    if label.isascii() and not label.startswith("xn--"):
        if not _LABEL.fullmatch(label):
            raise AddressError(
                f"the domain label {_shown(label)} is not of 1 to {MAX_LABEL} letters, digits"
                " and inner hyphens"
            )
        return label
    try:
        return idna.alabel(label).decode("ascii")
    except ValueError as error:
        raise AddressError(f"the domain label {_shown(label)}: {_words(error)}") from None


def _canonical_literal(text: str) -> str:
    tag, _, tagged = text[1:-1].partition(":")
    try:
        if not text.endswith("]") or "%" in text:  # a zone is no part of an address
            raise ValueError(text)
        if tag.lower() != "ipv6":
            return f"[{IPv4Address(text[1:-1])}]"
        address = IPv6Address(tagged)
    except ValueError:
        raise AddressError(f"{_shown(text)} is neither [IPv4 address] nor [IPv6:address]") from None
    # Python 3.13 spells a mapped address in another way than those before it.
    mapped = address.ipv4_mapped
    return f"[IPv6:{address}]" if mapped is None else f"[IPv6:::ffff:{mapped}]"


def _unbracketed(text: str) -> str:
    if not text.endswith(">"):
        raise AddressError("it does not end with the '>' that belongs to its '<'")
    return text[1:-1].strip(_BLANKS)


def _check_length(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise AddressError(f"it is longer than {MAX_TEXT} characters")


def _shown(text: str) -> str:
    """`text` in quotes, for a message: repr escapes whatever cannot be printed."""
    return cut(repr(text), MAX_LABEL + 2)


def _words(error: ValueError) -> str:
    """What idna says, which may hold all of a domain."""
    return cut(escaped(str(error)), 3 * MAX_LABEL)
