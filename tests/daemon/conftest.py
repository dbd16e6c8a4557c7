"""Daemons of tests look oftener: nobody waits half a second for a file."""

from __future__ import annotations

import pytest

from twisted_probe.daemon import service


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SCAN", 0.02)
    monkeypatch.setattr(service, "IDLE", 0.02)
