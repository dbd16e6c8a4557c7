"""TLS for a session: one context for all, a handshake that records instead of refusing.

Knows certificates and what is wrong with them; not when STARTTLS is said (`smtp.conversation`)
nor how its reply is awaited (`smtp.protocol`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import define, field, frozen
from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName
from OpenSSL import SSL
from OpenSSL.crypto import TYPE_DSA, TYPE_EC, TYPE_RSA, X509
from service_identity import CertificateError
from service_identity.hazmat import DNS_ID, DNSPattern, IPAddress_ID, IPAddressPattern
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
#: Authorities between a certificate and one that is trusted; Postfix smtp_tls_scert_verifydepth.
MAX_CHAIN = 9

#: Bits that a key needs to be worth 112 of a symmetric one (NIST SP 800-57 part 1, table 2).
_LEAST_BITS = {TYPE_RSA: 2048, TYPE_DSA: 2048, TYPE_EC: 224}
_SHORT = "weak: its key is too short"
#: What a verification can find (OpenSSL, x509_vfy.h), as far as it has words of its own.
_NOT_YET, _EXPIRED = 9, 10
_FINDINGS = {
    7: "its signature is wrong",
    18: "it is self-signed",
    19: "its authority is unknown",
    20: "its authority is unknown",
    21: "its authority is unknown",
    22: "its chain of authorities is too long",
    25: "its authority may not sign it",
    26: "it is not for servers",
    32: "its authority may not sign it",
    66: _SHORT,
    67: "weak: the key of its authority is too short",
    68: "weak: its signature uses an old digest",
    79: "its authority may not sign it",
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
        context.set_verify_depth(MAX_CHAIN)
        self._context = context

    def handshake(self, name: str) -> Handshake:
        """A handshake with the exchanger of this name, or literal address."""
        return Handshake(name, self._context)


@frozen
class Encryption:
    """What one session does about STARTTLS: `client` makes the handshake, `name` is the
    exchanger's, which its certificate is held against. `is_required`: nobody is asked without
    it. `failed`: what became of it just now, in the session before this one."""

    client: TlsClient
    name: str
    is_required: bool = False
    failed: str | None = None


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
        certificate = connection.get_peer_certificate()
        assert certificate is not None
        findings = list(self._findings)
        # Where old versions are allowed, OpenSSL does not look for it.
        if _is_short(certificate) and _SHORT not in findings:
            findings.append(_SHORT)
        mismatch = _mismatch(certificate, self._name)
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


def _is_short(certificate: X509) -> bool:
    key = certificate.get_pubkey()
    return key.bits() < _LEAST_BITS.get(key.type(), 0)


_Host = DNSPattern | IPAddressPattern


def _mismatch(certificate: X509, name: str) -> str | None:
    """What is wrong with the certificate's names, in words; RFC 9525."""
    try:
        hosts = list(_hosts(certificate))
    except Exception:
        # A stranger has written it, and there is no end of what a parser may say of it.
        return "its names cannot be read"
    if not hosts:
        return "it names no host, and a common name does not count"
    try:
        wanted = IPAddress_ID(name) if _is_literal(name) else DNS_ID(name)
    except ValueError:
        pass  # one that no certificate can be for, such as a number
    else:
        if any(map(wanted.verify, hosts)):
            return None
    shown = [
        decoded(host.pattern, MAX_NAME) if isinstance(host, DNSPattern) else str(host.pattern)
        for host in hosts[:MAX_NAMES]
    ]
    more = len(hosts) - len(shown)
    return f"it is for {', '.join(shown)}{f' and {more} more' if more else ''}, not for {name}"


def _hosts(certificate: X509) -> Iterator[_Host]:
    """The hosts that a certificate is for. A name that is none spoils no other: such as `*.net`,
    or a URI with a port, which service_identity's own extraction raises for."""
    try:
        extensions = certificate.to_cryptography().extensions
        names = extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return
    for name in names.get_values_for_type(DNSName):
        with suppress(CertificateError):
            yield DNSPattern.from_bytes(name.encode())
    for address in names.get_values_for_type(IPAddress):
        if isinstance(address, IPv4Address | IPv6Address):
            yield IPAddressPattern(address)


def _day(moment: bytes | None) -> str:
    """A date out of ASN.1's `YYYYMMDDhhmmssZ`."""
    text = (moment or b"").decode("ascii", "replace")
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
