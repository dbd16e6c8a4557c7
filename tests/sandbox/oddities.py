"""What the prober does not yet do as the catalogue has it."""

from __future__ import annotations

#: Name of an oddity → what is wrong. A test fails too when one of these comes out right.
KNOWN_FAULTS: dict[str, str] = {}
