"""The street's authority and the certificates of its servers. Knows who shows which; not what a
certificate is worth to anybody."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import trustme

from ..anchor import Command, File
from .part import ROOT, command, file

_LONG_AGO = datetime(2020, 2, 2, tzinfo=timezone.utc)


class Certificates:
    """Made anew for each street."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @property
    def authority(self) -> str:
        """Whom to trust, in PEM."""
        return self._authority.cert_pem.bytes().decode("ascii")

    def issue(
        self, host: str, name: str | None = None, *, is_expired: bool = False, uid: int = ROOT
    ) -> list[File]:
        """A certificate for `name`, by default the host's own, and its key, which is for `uid`,
        at `paths(host)`."""
        certificate = self._authority.issue_cert(
            name or host,
            not_before=_LONG_AGO if is_expired else None,
            not_after=_LONG_AGO + timedelta(days=90) if is_expired else None,
        )
        chain = "".join(blob.bytes().decode("ascii") for blob in certificate.cert_chain_pems)
        key = certificate.private_key_pem.bytes().decode("ascii")
        return [file(paths(host)[0], chain), file(paths(host)[1], key, mode=0o600, uid=uid)]


def paths(host: str) -> tuple[str, str]:
    """Where a host has its certificate and its key."""
    return f"/etc/street/{host}.pem", f"/etc/street/{host}.key"


def self_signed(host: str, *, has_name: bool = False) -> Command:
    """Makes one as ssl-cert would, only quicker; `has_name`: where clients look for it (RFC 6125
    section 6.4.4)."""
    certificate, key = paths(host)
    return command(
        [
            *("/usr/bin/openssl", "req", "-x509", "-nodes", "-subj", f"/CN={host}"),
            *(("-addext", f"subjectAltName=DNS:{host}") if has_name else ()),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-out", certificate, "-keyout", key),
        ]
    )
