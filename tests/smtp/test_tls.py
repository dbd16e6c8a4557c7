"""What a handshake finds out about the exchanger's certificate: it records, it never refuses."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from twisted_probe.smtp.tls import Handshake, Tls, TlsClient, trouble
from twisted_probe.vocabulary.outcome import TlsReport

NAME = "mx.example.net"
LONG_AGO = datetime(2001, 2, 3, tzinfo=timezone.utc)
NOW = datetime.now(timezone.utc)
NAMELESS = "it names no host, and a common name does not count"
_HOST = x509.DNSName(NAME)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def client(authority: trustme.CA, tmp_path: Path) -> TlsClient:
    return TlsClient(Tls(ca_file=str(trusted(authority, tmp_path))))


def trusted(authority: trustme.CA, directory: Path) -> Path:
    file = directory / "authorities.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def server(certificate: trustme.LeafCert, newest: int | None = None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    if newest is not None:
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(newest)
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    certificate.configure_cert(context)
    return context


def self_signed(bits: int, holder: x509.GeneralName = _HOST) -> SSL.Context:
    """A server whose certificate is its own authority's, with a key of so many bits."""
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([holder]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    context.use_certificate(certificate)
    context.use_privatekey(key)
    return context


def shake(client: TlsClient, context: SSL.Context, name: str = NAME) -> TlsReport:
    """Both ends of one handshake, without a network; ours as Twisted holds it."""
    handshake = client.handshake(name)
    ours = TLSMemoryBIOFactory(handshake, True, Factory.forProtocol(Protocol)).buildProtocol(None)
    transport = StringTransport()
    ours.makeConnection(transport)
    theirs = SSL.Connection(context, None)
    theirs.set_accept_state()
    for _ in range(2):
        theirs.bio_write(transport.value())
        transport.clear()
        with contextlib.suppress(SSL.WantReadError):
            theirs.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            ours.dataReceived(theirs.bio_read(1 << 16))
    ours.connectionLost(Failure(ConnectionDone()))
    return handshake.report()


def test_a_good_certificate_is_verified(authority: trustme.CA, client: TlsClient) -> None:
    report = shake(client, server(authority.issue_cert(NAME)))
    assert report == TlsReport(
        version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified=True, problem=None
    )


def test_a_literal_address_is_one_of_its_names(authority: trustme.CA, client: TlsClient) -> None:
    context = server(authority.issue_cert("127.0.0.9"))
    assert shake(client, context, "127.0.0.9").verified
    assert shake(client, context, "127.0.0.8").problem == "it is for 127.0.0.9, not for 127.0.0.8"


def test_a_name_in_another_script(authority: trustme.CA, client: TlsClient) -> None:
    context = server(authority.issue_cert("mx.bücher.example"))
    assert shake(client, context, "mx.xn--bcher-kva.example").verified


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["other.example.net"], "other.example.net"),
        (["a.example", "b.example", "127.0.0.9"], "a.example, b.example, 127.0.0.9"),
        ([f"mx{n}.example" for n in range(6)], ", ".join(f"mx{n}.example" for n in range(4))),
    ],
)
def test_the_wrong_names_are_told(
    authority: trustme.CA, client: TlsClient, names: list[str], shown: str
) -> None:
    report = shake(client, server(authority.issue_cert(*names)))
    more = " and 2 more" if len(names) == 6 else ""
    assert (report.verified, report.problem) == (False, f"it is for {shown}{more}, not for {NAME}")


def test_without_a_name_in_it(authority: trustme.CA, client: TlsClient) -> None:
    report = shake(client, server(authority.issue_cert(common_name=NAME)))
    assert (report.verified, report.problem) == (False, NAMELESS)


def test_without_a_host_in_it(client: TlsClient) -> None:
    service = x509.UniformResourceIdentifier("sip:example.net")
    problem = shake(client, self_signed(2048, service)).problem
    assert problem == f"it is self-signed; {NAMELESS}"


def test_an_expired_one(authority: trustme.CA, client: TlsClient) -> None:
    report = shake(client, server(authority.issue_cert(NAME, not_after=LONG_AGO)))
    assert (report.verified, report.problem) == (False, "it expired on 2001-02-03")


def test_one_of_tomorrow(authority: trustme.CA, client: TlsClient) -> None:
    far = datetime(2036, 5, 4, tzinfo=timezone.utc)
    certificate = authority.issue_cert(NAME, not_before=far, not_after=far + timedelta(days=1))
    assert shake(client, server(certificate)).problem == "it is not valid before 2036-05-04"


def test_all_that_is_wrong_is_told(client: TlsClient) -> None:
    certificate = trustme.CA().issue_cert("other.example.net", not_after=LONG_AGO)
    assert shake(client, server(certificate)).problem == (
        "its authority is unknown; it expired on 2001-02-03; "
        f"it is for other.example.net, not for {NAME}"
    )


def test_the_authorities_of_this_machine() -> None:
    """None of which has signed what a test makes."""
    report = shake(TlsClient(), server(trustme.CA().issue_cert(NAME)))
    assert (report.verified, report.problem) == (False, "its authority is unknown")


@pytest.mark.parametrize(
    ("bits", "problem"),
    [(2048, "it is self-signed"), (1024, "weak: its key is too short; it is self-signed")],
)
def test_a_self_signed_one(client: TlsClient, bits: int, problem: str) -> None:
    report = shake(client, self_signed(bits))
    assert (report.verified, report.problem) == (False, problem)


def test_what_has_no_words_has_its_number(authority: trustme.CA) -> None:
    handshake = TlsClient().handshake(NAME)
    certificate = X509.from_cryptography(x509.load_pem_x509_certificate(authority.cert_pem.bytes()))
    handshake.note(certificate, 77, 0)
    handshake.note(certificate, 77, 1)
    handshake.note(certificate, 9, 1)
    assert handshake._findings == [
        "it does not verify (X509 error 77)",
        "one of its authorities: it is not valid before 2000-01-01",
    ]


@pytest.mark.parametrize("newest", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
def test_old_versions_only_where_allowed(
    authority: trustme.CA, client: TlsClient, tmp_path: Path, newest: int
) -> None:
    context = server(authority.issue_cert(NAME), newest)
    with pytest.raises(SSL.Error) as refused:
        shake(client, context)
    assert trouble(Failure(refused.value)) == "unsupported protocol"
    lenient = TlsClient(Tls(ca_file=str(trusted(authority, tmp_path)), allow_old=True))
    report = shake(lenient, context)
    assert report.verified
    assert report.problem == f"weak: {report.version} is older than TLSv1.2"


def test_handshakes_share_the_context(client: TlsClient) -> None:
    contexts = {
        handshake.clientConnectionForTLS(None).get_context()  # type: ignore[arg-type]
        for handshake in (client.handshake(NAME), client.handshake("127.0.0.9"))
    }
    assert len(contexts) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pem"):
        TlsClient(Tls(ca_file=str(tmp_path / "none.pem")))


def test_a_file_without_authorities(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    with pytest.raises(ValueError, match=r"empty\.pem holds no certificate in PEM"):
        TlsClient(Tls(ca_file=str(tmp_path / "empty.pem")))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SSL.Error([("SSL routines", "", "wrong version number")]), "wrong version number"),
        (SSL.Error([("", "", "")]), "[('', '', '')]"),
        (SSL.Error(), ""),
        (SSL.SysCallError(-1, "Unexpected EOF"), "(-1, 'Unexpected EOF')"),
        (ValueError("a\x1b[31m"), "a\\x1b[31m"),
    ],
)
def test_what_went_wrong_in_words(error: BaseException, words: str) -> None:
    assert trouble(Failure(error)) == words


def test_it_is_what_twisted_wants() -> None:
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

    handshake = TlsClient().handshake(NAME)
    assert isinstance(handshake, Handshake)
    assert IOpenSSLClientConnectionCreator.providedBy(handshake)
