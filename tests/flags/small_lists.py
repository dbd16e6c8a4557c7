"""The packages of lists, with others in their place, or as if they were not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from types import ModuleType

import pytest

from twisted_probe.flags import lists, lookup


def _forget() -> None:
    lists.listed.cache_clear()
    lookup._of_domain.cache_clear()


@contextmanager
def installed(
    disposable: Set[str] | None = frozenset(("throwaway.example",)),
    free: Set[str] | None = frozenset(("gmail.com", "hitmail.com", "hotmail.co", "yaho.com")),
) -> Iterator[None]:
    """With these domains on the lists; None where a package is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        for (package, name), domains in ((lists.DISPOSABLE, disposable), (lists.FREE, free)):
            module = None if domains is None else ModuleType(package)
            if module is not None:
                setattr(module, name, domains)
            patch.setitem(sys.modules, package, module)
        _forget()
        yield
    _forget()
