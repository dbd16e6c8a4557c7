"""Certificates that nobody sells: what an exchanger may show all the same, and what is said of it.

A stranger makes them, so that none of them may bring anything but words.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import DNSName, GeneralName, UniformResourceIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL.crypto import X509

from twisted_probe.smtp.tls import MAX_CHAIN, MAX_NAME, MAX_NAMES, Tls, TlsClient, _mismatch
from twisted_probe.vocabulary.outcome import TlsReport

from .test_tls import NAME, NAMELESS, shake

NOW = datetime.now(timezone.utc)
NAMED = x509.SubjectAlternativeName([DNSName(NAME)])
MAY_SIGN = x509.BasicConstraints(ca=True, path_length=None)
UNREADABLE = "its names cannot be read"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


class Signed:
    """A certificate with its key, and what it was signed with."""

    def __init__(
        self,
        name: str,
        *extensions: x509.ExtensionType,
        by: Signed | None = None,
        key: Key | None = None,
        forged: bool = False,
    ) -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = key or new_key()
        issuer = by or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(7)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        self.certificate = builder.sign(new_key() if forged else issuer.key, hashes.SHA256())

    def context(self, *chain: Signed) -> SSL.Context:
        """A server that shows it, with the authorities in between."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        context.use_certificate(self.certificate)
        context.use_privatekey(self.key)
        for each in chain:
            context.add_extra_chain_cert(each.certificate)
        return context


ROOT = Signed("root", MAY_SIGN)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TlsClient:
    file: Path = tmp_path_factory.mktemp("trust") / "root.pem"
    file.write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    return TlsClient(Tls(ca_file=str(file)))


def names(*named: GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(named)


def raw_names(octets: bytes) -> x509.UnrecognizedExtension:
    """A list of names that is only called one."""
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, octets)


def problem(client: TlsClient, signed: Signed, *chain: Signed) -> str | None:
    report = shake(client, signed.context(*chain))
    assert report.verified == (report.problem is None)
    return report.problem


def test_of_an_authority_that_is_none(client: TlsClient) -> None:
    nobody = Signed("nobody", by=ROOT)
    found = problem(client, Signed("mx", NAMED, by=nobody), nobody)
    assert (found or "").startswith("its authority may not sign it")


def test_of_an_authority_that_may_have_none_below(client: TlsClient) -> None:
    last = Signed("last", x509.BasicConstraints(ca=True, path_length=0), by=ROOT)
    below = Signed("below", MAY_SIGN, by=last)
    found = problem(client, Signed("mx", NAMED, by=below), below, last)
    assert found == "its authority may not sign it"


def test_forged(client: TlsClient) -> None:
    assert problem(client, Signed("mx", NAMED, by=ROOT, forged=True)) == "its signature is wrong"


def test_not_for_servers(client: TlsClient) -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    assert problem(client, Signed("mx", NAMED, usage, by=ROOT)) == "it is not for servers"


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (MAX_CHAIN, None),
        (MAX_CHAIN + 1, "its chain of authorities is too long; its authority is unknown"),
    ],
)
def test_many_authorities(client: TlsClient, between: int, words: str | None) -> None:
    chain = [ROOT]
    for number in range(between):
        chain.insert(0, Signed(f"authority {number}", MAY_SIGN, by=chain[0]))
    assert problem(client, Signed("mx", NAMED, by=chain[0]), *chain[:-1]) == words


def test_a_short_key_where_old_versions_are_allowed() -> None:
    """OpenSSL takes it there, and says nothing."""
    short = Signed("mx", NAMED, key=rsa.generate_private_key(65537, 1024))
    found = problem(TlsClient(Tls(allow_old=True)), short)
    assert found == "it is self-signed; weak: its key is too short"


@pytest.mark.parametrize(
    "odd",
    [
        DNSName("*.net"),
        DNSName("*.*.example.net"),
        DNSName("192.0.2.1"),
        UniformResourceIdentifier("https://mx.example.net:443/"),
        UniformResourceIdentifier("nothing"),
    ],
)
def test_an_odd_name_spoils_no_other(client: TlsClient, odd: GeneralName) -> None:
    assert problem(client, Signed("mx", names(odd, DNSName(NAME)), by=ROOT)) is None
    found = problem(client, Signed("mx", names(odd, DNSName("a.example")), by=ROOT))
    assert found == f"it is for a.example, not for {NAME}"


def test_a_wildcard(client: TlsClient) -> None:
    assert problem(client, Signed("mx", names(DNSName("*.example.net")), by=ROOT)) is None


def test_an_exchanger_that_no_certificate_is_for(client: TlsClient) -> None:
    """The DNS may call it a number."""
    report = shake(client, Signed("mx", NAMED, by=ROOT).context(), "12345")
    assert report.problem == f"it is for {NAME}, not for 12345"


@pytest.mark.parametrize("octets", [b"no ASN.1", b"", b"\x30\x03\x82\x01\xff"])
def test_names_that_cannot_be_read(client: TlsClient, octets: bytes) -> None:
    found = problem(client, Signed("mx", raw_names(octets), by=ROOT))
    assert (found or "").endswith(UNREADABLE)


def test_a_network_is_no_host(client: TlsClient) -> None:
    octets = b"\x30\x0a\x87\x08\xc0\x00\x02\x00\xff\xff\xff\x00"
    assert problem(client, Signed("mx", raw_names(octets), by=ROOT)) == NAMELESS


def test_one_without_a_list_of_names(client: TlsClient) -> None:
    """The common name counts for nothing (RFC 9525 section 2)."""
    assert problem(client, Signed(NAME, by=ROOT)) == NAMELESS


_KEY = new_key()
_TLV = st.builds(
    lambda tag, octets: bytes((tag, len(octets))) + octets,
    st.sampled_from([0x82, 0x86, 0x87, 0x81, 0x88, 0xA0, 0xA4, 0x30]),
    st.binary(max_size=20) | st.sampled_from([NAME.encode(), b"\xc0\x00\x02\x01", b"a:b:c"]),
)


@given(
    octets=st.binary(max_size=40)
    | st.lists(_TLV, max_size=5).map(b"".join).map(lambda all_: bytes((0x30, len(all_))) + all_)
)
def test_whatever_stands_for_its_names(octets: bytes) -> None:
    """Never anything but words; safe to print, and few."""
    certificate = Signed("mx", raw_names(octets), key=_KEY).certificate
    words = _mismatch(X509.from_cryptography(certificate), NAME) or ""
    assert words.isprintable()
    assert len(words) <= MAX_NAMES * (MAX_NAME + 2) + 300


def test_many_long_names_are_cut(client: TlsClient) -> None:
    long = ".".join(["x" * 63] * 9)
    many = names(*(DNSName(f"{n}.{long}") for n in range(60)))
    report: TlsReport = shake(client, Signed("mx", many, by=ROOT).context())
    assert len(report.problem or "") < MAX_NAMES * (MAX_NAME + 2) + 100
    assert f"and {60 - MAX_NAMES} more, not for {NAME}" in (report.problem or "")
