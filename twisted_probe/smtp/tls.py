"""TLS for a session: one context for all, a handshake that records instead of refusing.

Knows certificates and what is wrong with them; not when STARTTLS is said (`smtp.conversation`)
nor how its reply is awaited (`smtp.protocol`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from ipaddress import ip_address

from attrs import define, field, frozen
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNSPattern, IPAddressPattern
from service_identity.pyopenssl import extract_patterns, verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_probe.vocabulary.escaping import decoded
from twisted_probe.vocabulary.outcome import TlsReport

#: Names of a certificate that a report shows; some have a hundred.
MAX_NAMES = 4
#: Characters of one name that a report shows: RFC 1035 section 2.3.4 allows no more.
MAX_NAME = 253

#: What a verification can find (OpenSSL, x509_vfy.h), as far as it has words of its own.
_NOT_YET, _EXPIRED = 9, 10
_FINDINGS = {
    18: "it is self-signed",
    19: "its authority is unknown",
    20: "its authority is unknown",
    21: "its authority is unknown",
    24: "its authority may not sign certificates",
    26: "it is not for servers",
    66: "weak: its key is too short",
    67: "weak: the key of its authority is too short",
    68: "weak: its signature uses an old digest",
}
_OLD = ("SSLv3", "TLSv1", "TLSv1.1")


class TlsMode(Enum):
    """What a session does where STARTTLS is offered (RFC 3207), and where it is not."""

    #: STARTTLS is not said.
    NEVER = "never"
    #: It is said where it is offered; whatever comes of it, no mailbox is judged by it.
    OPPORTUNISTIC = "opportunistic"
    #: Nothing is asked without it, nor of an exchanger whose certificate does not verify.
    REQUIRED = "required"


@frozen
class Tls:
    """How sessions are encrypted.

    `ca_file` holds the authorities to trust, in PEM; None for those of this machine. `allow_old`
    takes TLS 1.0 and 1.1 too, and what was a cipher then.
    """

    mode: TlsMode = TlsMode.OPPORTUNISTIC
    ca_file: str | None = None
    allow_old: bool = False


DEFAULT_TLS = Tls()


class TlsClient:
    """Makes the handshakes that `tls` wants; all of them share one context.

    Raises OSError for a file of authorities that cannot be read, and ValueError for one that
    holds no certificate.
    """

    def __init__(self, tls: Tls = DEFAULT_TLS) -> None:
        self.tls = tls
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_VERSION if tls.allow_old else SSL.TLS1_2_VERSION)
        if tls.allow_old:
            # OpenSSL 3 signs nothing for TLS 1.0 and 1.1 above this level.
            context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 34 KiB less for each idle session
        if tls.ca_file is None:
            context.set_default_verify_paths()
        else:
            _trust(context, tls.ca_file)
        context.set_verify(SSL.VERIFY_PEER, _record)
        self._context = context

    def handshake(self, name: str) -> Handshake:
        """A handshake with the exchanger of this name, or literal address."""
        return Handshake(name, self._context)


@frozen
class Encryption:
    """What one session does about STARTTLS: `client` makes the handshake, `name` is the
    exchanger's, which its certificate is held against. `is_required`: nobody is asked without
    it."""

    client: TlsClient
    name: str
    is_required: bool = False


def _trust(context: SSL.Context, ca_file: str) -> None:
    with open(ca_file, "rb"):
        pass  # OpenSSL does not say which file it could not open
    try:
        context.load_verify_locations(ca_file)
    except SSL.Error:
        raise ValueError(f"{ca_file} holds no certificate in PEM") from None


def _record(
    connection: SSL.Connection, certificate: X509, number: int, depth: int, is_good: int
) -> bool:
    """OpenSSL's question whether to go on: always, and what was wrong is written down."""
    assert isinstance(connection, _Connection)
    if not is_good:
        connection.handshake.note(certificate, number, depth)
    return True


class _Connection(SSL.Connection):
    """A connection that knows its handshake; its app data are Twisted's."""

    def __init__(self, context: SSL.Context, handshake: Handshake) -> None:
        super().__init__(context, None)
        self.handshake = handshake


@implementer(IOpenSSLClientConnectionCreator)
@define
class Handshake:
    """One handshake: what Twisted's startTLS takes, and what was found."""

    _name: str
    _context: SSL.Context
    _connection: SSL.Connection | None = None
    _findings: list[str] = field(factory=list)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The connection that Twisted feeds."""
        connection = self._connection = _Connection(self._context, self)
        if not _is_literal(self._name):
            # RFC 6066 section 3: no literal addresses here. An A-label already, so ASCII.
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection

    def note(self, certificate: X509, number: int, depth: int) -> None:
        """Write one finding down, once."""
        if number == _EXPIRED:
            words = f"it expired on {_day(certificate.get_notAfter())}"
        elif number == _NOT_YET:
            words = f"it is not valid before {_day(certificate.get_notBefore())}"
        else:
            words = _FINDINGS.get(number, f"it does not verify (X509 error {number})")
        if depth and number in (_EXPIRED, _NOT_YET):
            words = f"one of its authorities: {words}"
        if words not in self._findings:
            self._findings.append(words)

    def report(self) -> TlsReport:
        """What there is to say of the session's TLS, once the handshake is done."""
        connection = self._connection
        assert connection is not None
        findings = list(self._findings)
        mismatch = self._mismatch(connection)
        if mismatch is not None:
            findings.append(mismatch)
        is_verified = not findings
        version = connection.get_protocol_version_name()
        if version in _OLD:
            findings.append(f"weak: {version} is older than TLSv1.2")
        return TlsReport(
            version=version,
            cipher=connection.get_cipher_name(),
            verified=is_verified,
            problem="; ".join(findings) or None,
        )

    def _mismatch(self, connection: SSL.Connection) -> str | None:
        """What is wrong with the certificate's names, in words."""
        try:
            if _is_literal(self._name):
                verify_ip_address(connection, self._name)
            else:
                verify_hostname(connection, self._name)
        except VerificationError:
            certificate = connection.get_peer_certificate()
            assert certificate is not None
            return f"it is for {_names(certificate)}, not for {self._name}"
        except CertificateError:
            return "it holds no names that could be compared"
        return None


def trouble(failure: Failure) -> str:
    """Why a connection with TLS ended, in OpenSSL's words where they are, safe to print."""
    error = failure.value
    reasons: Iterable[object] = ()
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        reasons = (reason for _, _, reason in error.args[0] if reason)
    words = ", ".join(map(str, reasons)) or failure.getErrorMessage().rstrip(".")
    return decoded(words.encode(), 200)


def _is_literal(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _names(certificate: X509) -> str:
    shown: list[str] = []
    for pattern in extract_patterns(certificate):
        if isinstance(pattern, DNSPattern):
            shown.append(decoded(pattern.pattern, MAX_NAME))
        elif isinstance(pattern, IPAddressPattern):
            shown.append(str(pattern.pattern))
    more = len(shown) - MAX_NAMES
    return ", ".join(shown[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "") or "no host"


def _day(moment: bytes | None) -> str:
    """A date out of ASN.1's `YYYYMMDDhhmmssZ`."""
    text = (moment or b"").decode("ascii", "replace")
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
