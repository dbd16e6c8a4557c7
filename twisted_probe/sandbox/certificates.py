"""What an exchanger shows in its handshakes: certificates of every kind, made when asked for.

Knows one authority of its own, which is another in each process; not when a handshake is made
(`exchanger`).
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING

from attrs import frozen
from OpenSSL import SSL

if TYPE_CHECKING:
    import trustme

#: The day on which an expired certificate did so.
EXPIRED = datetime(2001, 2, 3, tzinfo=timezone.utc)


@frozen(kw_only=True)
class Certificate:
    """One kind of certificate, and the versions of TLS that go with it.

    `names` are those in it, "{host}" for the exchanger's own. `is_expired`, `is_self_signed` and
    `is_unknown` (its authority) say what is wrong with it. `is_old` has nothing newer than
    TLS 1.0.
    """

    names: tuple[str, ...] = ("{host}",)
    is_expired: bool = False
    is_self_signed: bool = False
    is_unknown: bool = False
    is_old: bool = False

    def context(self, host: str) -> SSL.Context:
        """What OpenSSL needs to show it."""
        return _context(self, host)


def authority_in_pem() -> bytes:
    """The certificate of the authority that all others come from."""
    return _authority().cert_pem.bytes()


@cache
def _authority() -> trustme.CA:
    # Nobody needs it but who puts up an exchanger with TLS.
    import trustme

    return trustme.CA()


@cache
def _context(certificate: Certificate, host: str) -> SSL.Context:
    import trustme

    context = SSL.Context(SSL.TLS_METHOD)
    if certificate.is_old:
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(SSL.TLS1_VERSION)
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    authority = trustme.CA() if certificate.is_unknown else _authority()
    if certificate.is_self_signed:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificate

        own = trustme.CA()
        key = load_pem_private_key(own.private_key_pem.bytes(), None)
        context.use_certificate(load_pem_x509_certificate(own.cert_pem.bytes()))
        context.use_privatekey(key)  # type: ignore[arg-type]
        return context
    names = [name.format(host=host) for name in certificate.names]
    not_after = EXPIRED if certificate.is_expired else None
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context
