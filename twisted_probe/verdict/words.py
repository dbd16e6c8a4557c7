"""A reply's words in one form for matching and comparing: folded, with our own values masked.

Knows spelling only: case, accents, addresses, names, queue ids; not what any word means
(`rules.toml` does) nor what becomes of the recipient (`verdict.judge`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import ip_address

from attrs import frozen

from twisted_probe.vocabulary.reply import Reply

#: What stands in the masked text in place of a value: a word for `\b`, and no server's.
RECIPIENT = "_rcpt"
REVERSE_PATH = "_from"
HELO = "_helo"
SOURCE = "_source"
DOMAIN = "_domain"
EXCHANGER = "_exchanger"
OTHER_ADDRESS = "_other"
IP = "_ip"
HOST = "_host"
ID = "_id"

#: Characters of a reply's shape, of its beginning and of its end, where Exim and GMX put the
#: verdict. Real refusals have some 100, Google's longest 600; a hostile one costs rules less so.
MAX_SHAPE = (700, 300)

#: The enhanced code where qmail, Cisco and their kin put it: "(#5.1.1)", "#5.1.0", "[5.1.1]".
_EMBEDDED = re.compile(r"[#(\[] ?#?([45]\.\d{1,3}\.\d{1,3})(?![.\d])")
_SPACE = re.compile(r"(?:\s|\\x09)+")
_ADDRESS = re.compile(r"""(?<![^\s<>()\[\]{},;:"'=])[^\s<>()\[\]{},;:"'=@]{1,64}@[\w.-]{1,255}""")
# A dotted name or number, an IPv6 address, or one long word with a digit in it, such as a queue
# id. All begin only where a word begins, so that a stranger's endless word costs no more than
# its length.
_NAME = re.compile(
    r"(?<![\w.:-])(?:[\w-]+(?:\.[\w-]+)+|[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}"
    r"|(?=[a-z-]{0,63}\d)[a-z\d-]{12,}|\d{6,})(?![\w-])"
)
_LONG_ID = re.compile(r"(?=.*\d)[a-z\d-]{12,}(?:\.\d+)*|\d{6,}")
# How a local part stands alone and is surely one.
_QUOTES = (("<", ">"), ("'", "'"), ('"', '"'))
# What stands before a mailbox's name.
_BEFORE_A_NAME = r"\b((?:user|account|mailbox|recipient|address):? )"
# A link, of which the host may tell who speaks, and the rest is a page's name.
_LINK_PATH = re.compile(r"(https?://[^\s/?#]*)[/?#]\S*")
# A moment, which is of an id's use.
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\d(?:t| )\d\d:\d\d(?::\d\d(?:\.\d+)?)?z?\b")
# An IPv4 address as one of IPv6, as a dual-stack socket shows it.
_MAPPED = re.compile(r"(?<![\w:.])::ffff:(?=\d{1,3}(?:\.\d{1,3}){3})")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
# The first label of a host's name, which numbers it among its likes: mta7.am0.example.net.
_NUMBERED_HOST = re.compile(r"^[a-z-]*\d[\w-]*(?=\.[\w.-]+\.[a-z][\w-]*$)")
# Chinese and Japanese put no spaces between words: each character is made a word of its own.
_CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_UNSPACED = re.compile(rf"(?<=[{_CJK}])(?=\w)|(?<=\w)(?=[{_CJK}])")
# Letters that have no accent to take off and are written so where there is only ASCII.
_LETTERS = str.maketrans({"ł": "l", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d"})
# Words with a digit, between no dots or colons (names, addresses, times): reasons and ids.
_NUMBERED = re.compile(r"(?<![\w.:-])(?=[a-z_-]*\d)[\w-]+(?![\w-]|[.:]\w)")
_RUN = re.compile(r"\d+|[a-z]+")
# Characters of a word, and turns from letters to digits and back, that make it an id: "E-7001" and
# "rule42" are reasons, Postfix's 4Bk1x9Zq2t and Exim's 1rAbCd-0001xY-2Z are none.
_ID_LENGTH = 8
_ID_TURNS = 4


@frozen
class Context:
    """Our own values, so that a reply that repeats them is not read as if they were its words.

    `source` is the source's address, `helo` its HELO name, `reverse_path` and `recipient` the
    addresses of the transaction without angle brackets; empty where there is none. `exchanger`
    is the name that the DNS gave to the host that speaks: it tells the provider, and a host that
    is called blocked.example must not be read as if it blocked us.
    """

    source: str = ""
    helo: str = ""
    reverse_path: str = ""
    recipient: str = ""
    exchanger: str = ""


def folded(text: str) -> str:
    """`text` in lower case, without accents, white space made single spaces."""
    return unaccented(_SPACE.sub(" ", text.lower()))


def unaccented(text: str) -> str:
    """Lower-case `text` without accents, compatibility forms made plain, Chinese and Japanese
    characters set apart."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _UNSPACED.sub(" ", plain.translate(_LETTERS))


def masked(reply: Reply, context: Context) -> str:
    """The shape of the reply: its words, folded, with what differs from one recipient, host or
    moment to the next masked: addresses, our own values, hosts' numbers, ids.

    Rules see nothing else, so two replies of one shape always say the same. A recipient such as
    blocked@ip.example must not speak for the exchanger, nor one that is the end of a longer
    address for that one. A bare local part stays: the local part "unknown" would take the word
    out of "user unknown" (`without_local_part` is the other way to read it).
    """
    text = folded(reply.text)
    recipient, reverse_path = folded(context.recipient), folded(context.reverse_path)
    local, _, domain = recipient.rpartition("@")
    sender_local, _, sender_domain = reverse_path.rpartition("@")
    for value, mask in ((recipient, RECIPIENT), (reverse_path, REVERSE_PATH)):
        if value and value in text:
            text = re.sub(rf"(?<![\w.+-]){re.escape(value)}(?![\w-]|\.\w)", mask, text)
    if local:
        text = text.replace(f"<{local}>", f"<{RECIPIENT}>")
    if sender_local:
        for opened, closed in _QUOTES:
            quoted = f"{opened}{sender_local}{closed}"
            text = text.replace(quoted, f"{opened}{REVERSE_PATH}{closed}")
        if sender_local != local and sender_local in text:
            # Only where it must be a name: "check" and "verify" are words as well.
            name = re.escape(sender_local)
            text = re.sub(rf"^{name}(?=:|\.\.\.)", REVERSE_PATH, text)
            text = re.sub(rf"{_BEFORE_A_NAME}{name}(?![\w@%+-]|\.\w)", rf"\1{REVERSE_PATH}", text)
    source = context.source.lower()
    if ":" in source:
        text = text.replace(source, SOURCE)
    if "::ffff:" in text:
        text = _MAPPED.sub("", text)
    if "@" in text:
        text = _ADDRESS.sub(OTHER_ADDRESS, text)
    text = _MOMENT.sub(ID, text)
    # Where two are equal, the later one stands: a domain that we send from may be asked about.
    names = {
        sender_domain: REVERSE_PATH,
        domain: DOMAIN,
        context.exchanger.lower(): EXCHANGER,
        context.helo.lower(): HELO,
        **dict.fromkeys(_spellings(source), SOURCE),
    }

    def mask_name(match: re.Match[str]) -> str:
        name = match[0]
        if name in names:
            return names[name]
        if domain and name.endswith("." + domain):
            return DOMAIN
        if _IPV4.fullmatch(name) or ":" in name:
            return IP
        if _LONG_ID.fullmatch(name):
            return ID
        return _NUMBERED_HOST.sub(HOST, name)

    text = _NAME.sub(mask_name, text)
    first, last = MAX_SHAPE
    return text if len(text) <= first + last else f"{text[:first]} {text[-last:]}"


@lru_cache(maxsize=256)
def _spellings(source: str) -> tuple[str, ...]:
    """The ways in which replies write an address: as it is, in full, and as the name under which
    the DNS has its name."""
    try:
        address = ip_address(source)
    except ValueError:
        return (source,)
    return (source, address.exploded, address.reverse_pointer)


def enhanced_code(reply: Reply) -> str | None:
    """The reply's enhanced code, or the one in brackets behind its words (qmail's habit).

    None when there is none or its class disagrees with the code (design rule 2).
    """
    if reply.enhanced is not None:
        return reply.enhanced
    match = _EMBEDDED.search(reply.text)
    if match is not None and int(match[1][0]) == reply.code_class:
        return match[1]
    return None


def says_the_same(reply: Reply, recipient: str, other: Reply, other_recipient: str) -> bool:
    """Whether two replies to two recipients differ in nothing but the recipient and ids.

    A number that is too short for an id may be a reason: with another one it is another reply.
    The bare local part is taken out only where the replies differ with it: both ways of
    reading may be the right one, and either makes them equal.
    """
    if (reply.code, enhanced_code(reply)) != (other.code, enhanced_code(other)):
        return False
    text, other_text = folded(reply.text), folded(other.text)
    return _steady(text, recipient) == _steady(other_text, other_recipient) or (
        _steady(without_local_part(text, recipient), recipient)
        == _steady(without_local_part(other_text, other_recipient), other_recipient)
    )


def _steady(text: str, recipient: str) -> tuple[str, list[str]]:
    """The folded text without what differs from one recipient or moment to the next, and its
    numbers that do not."""
    text = _MOMENT.sub(ID, text.replace(folded(recipient), RECIPIENT) if recipient else text)
    shape = masked(Reply(0, (text.encode(),)), Context(recipient=recipient))
    numbers = [word for word in _NUMBERED.findall(text) if not _is_id(word)]
    return _NUMBERED.sub(ID, shape), numbers


def _is_id(word: str) -> bool:
    if len(word) < _ID_LENGTH:
        return False
    runs = _RUN.findall(word.replace("-", "").replace("_", ""))
    return word.isdigit() or len(runs) > _ID_TURNS


def without_local_part(text: str, recipient: str) -> str:
    """The shape `text` with the bare local part masked as well, wherever it is a word."""
    local = folded(recipient).rpartition("@")[0].strip('"')
    if not local or local not in text:
        return text
    return re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", RECIPIENT, text)


def without_links(text: str) -> str:
    """The shape `text` with nothing of its links but their hosts."""
    return _LINK_PATH.sub(r"\1", text) if "://" in text else text
