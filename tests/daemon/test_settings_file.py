"""The configuration file: what is understood, what wins, and the words for what is wrong."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme

from twisted_probe.daemon.config import (
    COMMAND_LINE,
    DEFAULT,
    Config,
    ConfigError,
    read_config,
    read_told,
)
from twisted_probe.daemon.preparation import prepare
from twisted_probe.jobs.caching import Caching
from twisted_probe.routing.customs import Override
from twisted_probe.routing.sites import Limits
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.smtp.tls import Tls, TlsMode
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import default_rules
from twisted_probe.vocabulary.source import Source

#: What a daemon can start with; each test adds to it.
GOOD = """
spool = "spool"
reverse_path = "probe@example.org"
resolvers = ["127.0.0.1:5353"]
"""
SOURCE = """
[[source]]
address = "127.0.0.21"
helo = "probe1.example.org"
"""

ALL = """
spool = "/var/spool/probes"
spool_group = "4242"
reverse_path = "probe@example.org"
helo = "probe.example.org"
resolvers = ["127.0.0.1:5353", "127.0.0.2"]
port = 2525
allow_networks = ["127.0.0.0/8", "fc00::/7"]
control = false
keep = 172800
deadline = 3600
defuse_formulas = true
log_format = "json"
log_addresses = true

[[source]]
address = "127.0.0.21"
helo = "probe1.example.org"
port = 4000

[[source]]
address = "::1"

[timeouts]
connect = 1
greeting = 2.5
command = 3
quit = 4
session = 50
recipient = 0

[limits]
sessions = 9
per_site = 2
starts_per_second = 0.5
errors_per_session = 5
recipients_per_session = 50

[retry]
greylist = [1, 2.5]
temporary = []

[cache]
enabled = false
deliverable = 86400
undeliverable = 0

[tls]
mode = "required"
ca_file = "authorities.pem"
allow_old = true

[[site]]
name = "MX.example.net"

[[site]]
name = ".example.org"
tls = "never"
"""

RULES = """
[[rule]]
name = "moon"
label = "no_such_mailbox"
words = ['the moon is full']
ground = "our own exchangers"
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def file(tmp_path: Path, authority: trustme.CA) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "authorities.pem"))
    return tmp_path / "mailprobe.toml"


def read(file: Path, text: str, **options: Any) -> Config:
    file.write_text(text, "utf-8")
    return read_config(file=file, **options)


def refusal(file: Path, text: str | bytes, **options: Any) -> str:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_config(file=file, **options)
    return str(caught.value)


def wrong(file: Path, text: str, **options: Any) -> str:
    """The words for what is wrong with a file that is good but for this, without its name."""
    tables = text[text.index("[") :] if text.startswith("[") else ""
    message = refusal(file, GOOD + ("" if tables else text) + SOURCE + tables, **options)
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


# ---------------------------------------------------------------- what is understood


def test_every_key(file: Path) -> None:
    assert read(file, ALL) == Config(
        spool=Path("/var/spool/probes"),
        spool_group="4242",
        sources=(
            Source("127.0.0.21", helo="probe1.example.org", port=4000),
            Source("::1", helo="probe.example.org"),
        ),
        reverse_path="probe@example.org",
        resolvers=(("127.0.0.1", 5353), ("127.0.0.2", 53)),
        port=2525,
        allow_networks=("127.0.0.0/8", "fc00::/7"),
        control=False,
        keep=172800.0,
        deadline=3600.0,
        defuse_formulas=True,
        log_format="json",
        log_addresses=True,
        timeouts=Timeouts(connect=1, greeting=2.5, command=3, quit=4, session=50, recipient=0),
        limits=Limits(
            sessions=9,
            per_site=2,
            starts_per_second=0.5,
            errors_per_session=5,
            recipients_per_session=50,
        ),
        ladder=Ladder(greylist=(1, 2.5), temporary=()),
        caching=Caching(enabled=False, deliverable=86400, undeliverable=0),
        tls=Tls(TlsMode.REQUIRED, str(file.parent / "authorities.pem"), allow_old=True),
        sites=(
            Override(name="mx.example.net"),
            Override(name=".example.org", tls=TlsMode.NEVER),
        ),
    )


def test_what_is_not_said_has_its_default(file: Path) -> None:
    assert read(file, GOOD + SOURCE) == Config(
        spool=file.parent / "spool",
        sources=(Source("127.0.0.21", helo="probe1.example.org"),),
        reverse_path="probe@example.org",
        resolvers=(("127.0.0.1", 5353),),
    )


def test_numbers_are_seconds_as_floats(file: Path) -> None:
    config = read(file, GOOD + SOURCE + "[timeouts]\nconnect = 7\n[retry]\ngreylist = [8]")
    assert isinstance(config.timeouts.connect, float)
    assert isinstance(config.ladder.greylist[0], float)


def test_paths_are_looked_for_beside_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the daemon was started; a second look, from somewhere else, finds the same."""
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "mailprobe.toml"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc" / "own.toml").write_text(RULES)
    text = 'rules = "own.toml"\n' + GOOD + SOURCE
    file.write_text(text)
    config = read_config(file="etc/mailprobe.toml")
    assert config.spool == tmp_path / "etc" / "spool"
    assert config.rules is not None
    assert next(iter(config.rules)).name == "moon"


def test_rules_of_the_operators_own_come_before_the_packages(file: Path) -> None:
    (file.parent / "own.toml").write_text(RULES)
    config = read(file, 'rules = "own.toml"\n' + GOOD + SOURCE)
    assert config.rules is not None
    first, *others = config.rules
    assert first.name == "moon"
    assert others == list(default_rules())


def test_the_prober_is_told_all_that_concerns_it(file: Path) -> None:
    config = read(file, ALL)
    assert set(config.probing) == {
        *("sources", "reverse_path", "resolvers", "port", "allow_networks"),
        *("control", "timeouts", "limits", "ladder", "rules", "tls", "sites"),
        *("controls", "evidence", "opt_out"),
    }
    assert config.probing["limits"] is config.limits


# ---------------------------------------------------------------- what wins


def test_the_command_line_wins_key_by_key(file: Path) -> None:
    config = read(
        file,
        ALL,
        spool="/tmp/other",
        sources=["127.0.0.22", "127.0.0.23=probe3.example.org"],
        helo="probe2.example.org",
        reverse_path="other@example.org",
        resolvers=["127.0.0.9"],
        port="26",
        allow_networks=["10.0.0.0/8"],
        spool_group="4343",
    )
    assert config.sources == (
        Source("127.0.0.22", helo="probe2.example.org"),
        Source("127.0.0.23", helo="probe3.example.org"),
    )
    assert config.spool == Path("/tmp/other")
    assert config.reverse_path == "other@example.org"
    assert config.resolvers == (("127.0.0.9", 53),)
    assert config.port == 26
    assert config.allow_networks == ("10.0.0.0/8",)
    assert config.spool_group == "4343"
    # What was not said there is the file's.
    assert config.limits.per_site == 2
    assert config.deadline == 3600


def test_a_source_of_the_command_line_has_the_files_helo(file: Path) -> None:
    config = read(file, ALL, sources=["127.0.0.22"])
    assert config.sources == (Source("127.0.0.22", helo="probe.example.org"),)


def test_a_source_of_the_file_has_the_command_lines_helo(file: Path) -> None:
    config = read(file, ALL, helo="probe9.example.org")
    assert [source.helo for source in config.sources] == [
        "probe1.example.org",
        "probe9.example.org",
    ]


def test_each_value_knows_where_it_came_from(file: Path) -> None:
    file.write_text(ALL)
    told = read_told(file=file, port="26", reverse_path="x@example.org")
    origins = {name: value.origin for name, value in told.values.items()}
    assert origins["port"] == origins["reverse_path"] == COMMAND_LINE
    assert origins["helo"] == origins["source"] == origins["limits.per_site"] == str(file)
    assert origins["rules"] == origins["timeouts.rfc"] == DEFAULT
    assert told["port"] == 26


def test_nothing_is_needed_to_see_what_is_told() -> None:
    told = read_told()
    assert {value.origin for value in told.values.values()} == {DEFAULT}
    assert told["source"] == ()
    assert told["spool"] is None


def test_the_rfcs_minimums(file: Path) -> None:
    config = read(file, GOOD + SOURCE + "[timeouts]\nrfc = true\ncommand = 30")
    assert config.timeouts == Timeouts(
        connect=300, greeting=300, command=30, quit=2, session=3600, recipient=2
    )
    assert config.told is not None
    origins = {
        name: config.told.values[f"timeouts.{name}"].origin
        for name in ("connect", "command", "quit")
    }
    assert origins == {"connect": "timeouts.rfc", "command": str(file), "quit": DEFAULT}


# ---------------------------------------------------------------- what is wrong

WRONG = {
    "a number in quotes": (
        '[limits]\nper_site = "4"',
        'limits.per_site = "4": expected a whole number of at least 1 and at most 50 (what '
        "Postfix grants one client)",
    ),
    "a fraction": (
        "[limits]\nper_site = 4.0",
        "limits.per_site = 4.0: expected a whole number of at least 1 and",
    ),
    "none at all": ("[limits]\nper_site = 0", "limits.per_site = 0: expected a whole number"),
    "a whole attack": ("[limits]\nper_site = 51", "limits.per_site = 51: expected a whole number"),
    "true as a number": (
        "[limits]\nsessions = true",
        "limits.sessions = true: expected a whole number of at least 1",
    ),
    "one error": (
        "[limits]\nerrors_per_session = 1",
        "limits.errors_per_session = 1: expected a whole number of at least 2 (one is kept for "
        "the random recipient) and at most 20 (Postfix ends the session with the next one)",
    ),
    "no pace": (
        "[limits]\nstarts_per_second = 0",
        "limits.starts_per_second = 0: expected a number of sessions a second of at least 0.001",
    ),
    "a wait in words": (
        '[timeouts]\nconnect = "30s"',
        'timeouts.connect = "30s": expected a number of seconds of at least 0.1 and at most 600',
    ),
    "no time": ("[timeouts]\ncommand = 0", "timeouts.command = 0: expected a number of seconds"),
    "for ever": ("[timeouts]\nsession = inf", "timeouts.session = inf: expected a number of"),
    "no number": ("[timeouts]\nquit = nan", "timeouts.quit = nan: expected a number of seconds"),
    "minus": ("[timeouts]\nrecipient = -1", "timeouts.recipient = -1: expected a number of"),
    "a ladder of one": (
        "[retry]\ngreylist = 300",
        "retry.greylist = 300: expected a list of at most 20, each a number of seconds of at "
        "least 0.1 and at most 172800",
    ),
    "a broken step": (
        '[retry]\ntemporary = [300, "900"]',
        'retry.temporary = [300, "900"]: expected a list of at most 20, each a number of seconds '
        "of at least 0.1 and at most 172800 (2 days; postgrey forgets a first attempt after "
        "that) (number 2 is none)",
    ),
    "a flag in quotes": ('control = "yes"', 'control = "yes": expected true or false'),
    "a port in quotes": ('port = "25"', 'port = "25": expected a whole number of at least 1 and'),
    "port 0": ("port = 0", "port = 0: expected a whole number of at least 1 and at most 65535"),
    "a date": ("deadline = 2027-01-01", "deadline = 2027-01-01: expected a number of seconds of"),
    "a table for a value": (
        "control = {yes = 1}",
        "control = {yes = 1}: expected true or false",
    ),
    "a log of another kind": (
        'log_format = "xml"',
        'log_format = "xml": expected "text" or "json"',
    ),
    "one resolver": (
        'resolver = "127.0.0.1"',
        "resolver: there is no such key; did you mean resolvers?",
    ),
    "a key of another table": (
        "per_site = 4",
        "per_site: there is no such key; did you mean limits.per_site?",
    ),
    "a slip": (
        "[limits]\nper_sites = 4",
        "limits.per_sites: there is no such key; did you mean limits.per_site?",
    ),
    "a slip in a table's name": ("[limit]", "limit: there is no such key; did you mean limits?"),
    "nothing like it": ("xyzzy = 1", "xyzzy: there is no such key; expected allow_networks, "),
    "a network that is none": (
        'allow_networks = ["10.1.2.3/8"]',
        'allow_networks = ["10.1.2.3/8"]: expected a list of at most 1000, each a network in CIDR '
        "form (number 1 is none: 10.1.2.3/8 has host bits set)",
    ),
    "an empty path": ('rules = ""', 'rules = "": expected the path of a file (it is no name of'),
    "a group that is none": (
        'spool_group = "two words "',
        'spool_group = "two words ": expected the name of a group, or its number in quotes',
    ),
    "HELO without a dot": (
        'helo = "probe1"',
        'helo = "probe1": expected a fully qualified host name (it has no dot; exchangers want a '
        "fully qualified name)",
    ),
    "a table that is a number": (
        "limits = 4",
        "limits = 4: expected [limits] on a line of its own",
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values(file: Path, text: str, words: str) -> None:
    assert wrong(file, text).startswith(words)


WRONG_SOURCES = {
    "not an array": (
        '[source]\naddress = "127.0.0.21"',
        'source = {address = "127.0.0.21"}: expected [[source]] on a line of its own for each',
    ),
    "a list of texts": ('source = ["127.0.0.21"]', 'source = ["127.0.0.21"]: expected [[source]]'),
    "no address": (
        '[[source]]\nhelo = "probe1.example.org"',
        'source[1]: it has no address; expected address = "ADDRESS", one of this machine\'s',
    ),
    "a name for an address": (
        '[[source]]\naddress = "mail.example.org"',
        'source[1].address = "mail.example.org": expected an IPv4 or IPv6 address of this machine '
        "('mail.example.org' does not appear to be an IPv4 or IPv6 address)",
    ),
    "any address": (
        '[[source]]\naddress = "0.0.0.0"',
        'source[1].address = "0.0.0.0": expected an IPv4 or IPv6 address of this machine (0.0.0.0 '
        "is no single address of a machine)",
    ),
    "HELO that is an address": (
        SOURCE + '[[source]]\naddress = "127.0.0.22"\nhelo = "192.0.2.1"',
        'source[2].helo = "192.0.2.1": expected a fully qualified host name (it looks like an IP',
    ),
    "no HELO": (
        '[[source]]\naddress = "127.0.0.21"',
        'source[1] (127.0.0.21): it has no HELO name; write helo = "NAME" with a name that '
        "resolves to this address",
    ),
    "a key that is none": (
        SOURCE + 'adress = "127.0.0.21"',
        "source[1].adress: there is no such key; did you mean source[1].address?",
    ),
    "the same one twice": (SOURCE * 2, "source 127.0.0.21: it is named twice"),
    "a port beyond all": (
        SOURCE + "port = 65536",
        "source[1].port = 65536: expected a whole number of at least 0 and at most 65535",
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG_SOURCES.values(), ids=WRONG_SOURCES.keys())
def test_wrong_sources(file: Path, text: str, words: str) -> None:
    assert refusal(file, GOOD + text).startswith(f"{file}: {words}")


WRONG_SITES = {
    "no table": (
        'site = "mx.example.net"',
        'site = "mx.example.net": expected [[site]] on a line of its own for each site, and its '
        "keys below",
    ),
    "no name": (
        '[[site]]\ntls = "never"',
        'site[1]: it has no name; expected name = "NAME", of an exchanger or of many',
    ),
    "no host's name": (
        '[[site]]\nname = "*.example.net"',
        'site[1].name = "*.example.net": expected a host name, or the end of one behind a full '
        "stop (",
    ),
    "another mode": (
        '[[site]]\nname = ".example.net"\ntls = "always"',
        'site[1].tls = "always": expected "never" or "opportunistic" or "required"',
    ),
    "the same one twice": (
        '[[site]]\nname = ".example.net"\n[[site]]\nname = ".Example.NET"',
        "site[2] (.example.net): it is named twice",
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG_SITES.values(), ids=WRONG_SITES.keys())
def test_wrong_sites(file: Path, text: str, words: str) -> None:
    before, after = (text + "\n", "") if text.startswith("site") else ("", text)
    assert refusal(file, before + GOOD + SOURCE + after).startswith(f"{file}: {words}")


def test_authorities_that_are_not_there(file: Path) -> None:
    message = refusal(file, GOOD + SOURCE + '[tls]\nca_file = "none.pem"')
    assert message == f"{file.parent}/none.pem: it cannot be read: No such file or directory"


def test_authorities_that_are_none(file: Path) -> None:
    (file.parent / "none.pem").write_text("nothing\n")
    message = refusal(file, GOOD + SOURCE + '[tls]\nca_file = "none.pem"')
    assert message == f"{file.parent}/none.pem holds no certificate in PEM"


def test_what_is_missing_would_have_been_in_the_file(file: Path) -> None:
    assert refusal(file, GOOD) == (
        f"{file}: source: no source address is given; nothing is ever sent from an address that "
        "was not chosen"
    )
    assert refusal(file, SOURCE) == f"{file}: spool: no directory is given"
    assert refusal(file, 'spool = "x"\n' + SOURCE) == (
        f"{file}: reverse_path: none is given; set an address of yours that receives mail"
    )
    assert read(file, GOOD, sources=["127.0.0.21=probe1.example.org"]).sources


def test_what_the_command_line_has_wrong_is_called_as_there(file: Path) -> None:
    assert refusal(file, ALL, port="smtp") == "--port 'smtp': it is not a number"
    assert refusal(file, ALL, spool="") == "--spool: no directory is given"
    assert refusal(file, GOOD, sources=["127.0.0.22"]) == (
        "--source '127.0.0.22': it has no HELO name; write --source ADDRESS=NAME or --helo NAME "
        "with a name that resolves to this address"
    )


SYNTAX = {
    "a colon": ("port: 25\n", ", line 1, column 5: it is not TOML: "),
    "an open text": ('helo = "x\nport = 25\n', ", line 1, column 10: it is not TOML: "),
    "an open list": ("resolvers = [\n", ", line 2, column 1: it is not TOML: "),
    "a key twice": ("port = 25\nport = 26\n", ", line 2, column 10: it is not TOML: "),
    "Latin-1": (
        "# žluťoučký\n# k\u016f\u0148".encode() + b" \xe9",
        ", line 2, column 7: it is not UTF-8",
    ),
    "a binary": (b"\0\0\0", ", line 1, column 1: it is not TOML: "),
}


@pytest.mark.parametrize(("text", "words"), SYNTAX.values(), ids=SYNTAX.keys())
def test_syntax_errors_have_a_place(file: Path, text: str | bytes, words: str) -> None:
    assert refusal(file, text).startswith(f"{file}{words}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(file=tmp_path / "nothing.toml")
    words = f"{tmp_path}/nothing.toml: it cannot be read: No such file or directory"
    assert str(caught.value) == words


def test_a_file_that_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read: Is a directory"):
        read_config(file=tmp_path)


def test_a_file_that_is_endless() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: it is longer than 1048576 bytes"):
        read_config(file="/dev/zero")


def test_what_is_shown_of_a_value_is_short_and_safe_to_print(file: Path) -> None:
    message = wrong(file, 'control = "' + "\\u001b[2J" * 100 + '"')
    assert message.isprintable()
    assert len(message) < 200


# ---------------------------------------------------------------- rules

WRONG_RULES = {
    "no TOML": ("[[rule]\n", "not TOML: "),
    "no such label": (
        RULES.replace("no_such_mailbox", "nobody"),
        "line 4: rule 'moon', key 'label': 'nobody' is not one of accepted, no_such_mailbox, ",
    ),
    "no expression": (
        RULES.replace("the moon", "(the moon"),
        "line 5: rule 'moon', key 'words': '(the moon is full' is no regular expression: ",
    ),
    "no ground": (
        RULES.replace("ground", "reason"),
        "line 6: rule 'moon', key 'reason': it is not known",
    ),
    "Latin-1": (b"# \xe9", "it is not UTF-8"),
}


@pytest.mark.parametrize(("text", "words"), WRONG_RULES.values(), ids=WRONG_RULES.keys())
def test_broken_rules_are_refused(file: Path, text: str | bytes, words: str) -> None:
    rules = file.parent / "own.toml"
    rules.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(file, 'rules = "own.toml"\n' + GOOD + SOURCE)
    assert message.startswith(f"{rules}: {words}")


def test_rules_that_are_not_there(file: Path) -> None:
    message = refusal(file, 'rules = "own.toml"\n' + GOOD + SOURCE)
    assert message == f"{file.parent}/own.toml: it cannot be read: No such file or directory"


# ---------------------------------------------------------------- what the machine says


def test_a_source_of_another_machine(file: Path) -> None:
    config = read(file, GOOD + SOURCE.replace("127.0.0.21", "192.0.2.1"))
    with pytest.raises(ConfigError) as caught:
        prepare(config)
    assert str(caught.value) == (
        f"{file}: source 192.0.2.1: this machine cannot send from it (Cannot assign requested "
        "address); give one of its own addresses"
    )


def test_a_spool_that_cannot_be_made(file: Path) -> None:
    (file.parent / "spool").touch()
    config = read(file, GOOD + SOURCE)
    with pytest.raises(ConfigError) as caught:
        prepare(config)
    assert str(caught.value).startswith(f"{file}: spool: the spool {file.parent}/spool: ")


def test_a_fixed_port_that_is_taken(file: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.21", 0))
        port = other.getsockname()[1]
        config = read(file, GOOD + SOURCE + f"port = {port}")
        with pytest.raises(ConfigError, match="Address already in use"):
            prepare(config)
    assert not os.path.exists(config.spool)


def test_a_group_that_is_not_there(file: Path) -> None:
    text = 'spool_group = "no-such-group"\n' + GOOD + SOURCE
    assert refusal(file, text) == f"{file}: spool_group 'no-such-group': there is no such group"


def test_the_log_as_the_command_line_has_it(file: Path) -> None:
    assert read(file, ALL, log_format="text").log_format == "text"
    assert read(file, GOOD + SOURCE, log_addresses=True).log_addresses
    assert refusal(file, ALL, log_format="xml") == "--log-format 'xml': it is not text or json"


def test_a_fixed_port_whose_last_session_has_just_ended(file: Path) -> None:
    """It is in TIME_WAIT: a restart is not refused for that."""
    with socket.create_server(("127.0.0.1", 0)) as exchanger:
        session = socket.socket()
        session.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        session.bind(("127.0.0.21", 0))
        session.connect(exchanger.getsockname())
        port = session.getsockname()[1]
        other, _ = exchanger.accept()
        session.close()
        other.close()
    with socket.socket() as plain, pytest.raises(OSError, match="in use"):
        plain.bind(("127.0.0.21", port))
    prepare(read(file, GOOD + SOURCE + f"port = {port}")).release()
