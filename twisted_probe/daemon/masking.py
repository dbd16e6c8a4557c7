"""E-mail addresses in text, made unreadable: a log is read, copied and kept by many.

Knows what looks like an address; it would rather hide too much. The domain stays: what goes wrong
there is what the operator has to know.
"""

from __future__ import annotations

import re

MASK = "***"

#: What stands for "@": itself, its full-width forms, and as URLs have it.
_AT = re.compile("@|%(?:25)*40|\uff20|\ufe6b")
#: A run that may be an address: what cannot stand in an unquoted one ends it (RFC 5322's
#: specials but the dot, and spaces); "=", "/", "'" and "{" can.
_RUN = re.compile(r"[^\s\"(),:;<>\[\]]+")
#: A quoted local part (RFC 5321 gives it 64 octets).
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.){0,128}\"(?=@|%)", re.DOTALL)
#: How our own values show the half of an address.
_LOCAL = re.compile(r"\b(local|control)=(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
#: How Python shows a recipient's key: a domain, or an address literal, and the local part.
_KEY = re.compile(
    r"(\('(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+|\[[^'\]]*\])'), (?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
)


def masked(text: str) -> str:
    """`text` with the local part of everything that looks like an e-mail address, or like a
    recipient's key, as `***`."""
    if "local=" in text or "control=" in text:
        text = _LOCAL.sub(rf"\1={MASK}", text)
    if "('" in text:
        text = _KEY.sub(rf"\1, {MASK}", text)
    if _AT.search(text) is None:
        return text
    return _RUN.sub(_without_local, _QUOTED.sub(MASK, text))


def _without_local(run: re.Match[str]) -> str:
    text = run.group()
    signs = list(_AT.finditer(text))
    # A sign at the start has nothing before it: "@example.net", or what followed a quoted part.
    if not signs or signs[-1].start() == 0:
        return text
    return MASK + text[signs[-1].start() :]
