"""chasquid, with Go's own TLS. Knows its files and its command."""

from __future__ import annotations

from .. import topology
from .certificates import Certificates, paths
from .part import Part, directory, file

LOG = "/var/log/chasquid.log"


def chasquid(certificates: Certificates) -> Part:
    """The third error of a session is the last that it bears."""
    host = topology.CHASQUID
    files = [
        file(
            f"/etc/street/chasquid/domains/{domain.name}/aliases",
            *(f"{local}: somebody@elsewhere.example" for local in domain.there.split()),
        )
        for domain in topology.CHASQUID_DOMAINS
    ]
    certificate, key = certificates.issue(host)
    home = f"/etc/street/chasquid/certs/{host}"
    return Part(
        package="chasquid",
        log=LOG,
        logs_itself=False,
        directories=[directory("/var/lib/chasquid", 0o700)],
        files=[
            *files,
            {**certificate, "path": f"{home}/fullchain.pem"},
            {**key, "path": f"{home}/privkey.pem"},
            file(
                "/etc/street/chasquid/chasquid.conf",
                f'hostname: "{host}"',
                f'smtp_address: "{topology.HOSTS[host]}:25"',
                'data_dir: "/var/lib/chasquid"',
                'mail_delivery_agent_bin: "/bin/false"',
                'mail_log_path: "<stderr>"',
            ),
        ],
        argv=["/usr/bin/chasquid", "-config_dir=/etc/street/chasquid", "-v=2"],
        listeners=[(topology.HOSTS[host], 25)],
    )


__all__ = ["LOG", "chasquid", "paths"]
