"""Flags: what can be said of an address without asking anybody.

Knows the value and its record; not how a flag is found (`flags`).
"""

from __future__ import annotations

from attrs import fields, frozen


@frozen
class Flags:
    """What is known of an address beside the verdict, which it never changes; None is unknown.

    `disposable`: the domain, or one above it, gives out addresses to be thrown away.
    `role_account`: the local part names an office (RFC 2142), not a person.
    `free_provider`: anybody can have a mailbox at this domain for nothing.
    `suggestion`: the address that was probably meant, where the domain is one slip of the finger
    away from a well-known one; None also where there is nothing to suggest.
    """

    disposable: bool | None = None
    role_account: bool | None = None
    free_provider: bool | None = None
    suggestion: str | None = None

    def record(self) -> dict[str, bool | str | None]:
        """The flags as they stand at the end of an outcome's record."""
        return {
            "disposable": self.disposable,
            "role_account": self.role_account,
            "free_provider": self.free_provider,
            "suggestion": self.suggestion,
        }


#: The names of the flags, in order.
FLAG_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Flags))
#: Nothing is known, or nothing is to be said.
NO_FLAGS = Flags()
