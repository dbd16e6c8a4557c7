"""From a reply to a verdict: what it says (`classify`), what becomes of it (`judge`), when to ask
again (`ladder`). Pure: knows no Twisted, no clock, no network."""

from __future__ import annotations

from twisted_probe.verdict.classify import classify_text

__all__ = ["classify_text"]
