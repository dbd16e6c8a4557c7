"""Well-known domains, mistyped.

Knows some providers and what one slip of the finger makes of their names; not whether a domain
exists.
"""

from __future__ import annotations

#: Providers whose domains are often typed, most often first. No name shorter than five letters
#: and none that is a word with neighbours (libero, naver, orange): one letter from those there
#: are other people's domains.
WELL_KNOWN = (
    *("gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "googlemail.com"),
    *("hotmail.co.uk", "hotmail.fr", "hotmail.de", "hotmail.it", "hotmail.es", "yahoo.co.uk"),
    *("yahoo.fr", "yahoo.de", "yahoo.it", "yahoo.es", "yahoo.ca", "yahoo.in", "yahoo.co.in"),
    *("yahoo.co.jp", "yahoo.com.br", "outlook.fr", "outlook.de", "outlook.es", "protonmail.com"),
    *("rocketmail.com", "rediffmail.com", "btinternet.com", "comcast.net", "verizon.net"),
    *("sbcglobal.net", "bellsouth.net", "wanadoo.fr", "laposte.net", "t-online.de", "freenet.de"),
    *("virgilio.it", "yandex.ru", "yandex.com", "rambler.ru", "seznam.cz", "tutanota.com"),
)

#: One slip away from a provider, and somebody else's.
OTHERS = frozenset(("grail.com", "hitmail.com"))

#: Whoever has one of these has not slipped.
_MEANT_SO = OTHERS.union(WELL_KNOWN)

#: By its first letter what may have been meant: that has to be there, as the first or the second.
_BEGINNING = {
    letter: tuple(known for known in WELL_KNOWN if letter in known[:2])
    for letter in {letter for known in WELL_KNOWN for letter in known[:2]}
}

#: What is left of "com" when a letter is. Each is a country, and no provider above is there.
_SHORT_COM = frozenset(("co", "cm", "om"))


def meant(domain: str) -> str | None:
    """The well-known domain that was probably meant; None where this one is well-known itself or
    is like none.

    One letter that is missing, too many or wrong, or two that are swapped; but the first letter
    has to be there (qmail.com, email.com and hmail.com exist), and another country's domain is
    another domain (hotmail.fi).
    """
    if domain in _MEANT_SO:
        return None
    for known in _BEGINNING.get(domain[:1], ()):
        if is_one_slip(domain, known) and _begins_alike(domain, known):
            return None if _is_of_another_country(domain, known) else known
    return None


def is_one_slip(text: str, known: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours makes one the other:
    whether their Damerau-Levenshtein distance is 1."""
    if text == known or abs(len(text) - len(known)) > 1:
        return False
    begin = 0
    shorter = min(len(text), len(known))
    while begin < shorter and text[begin] == known[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and text[-1 - end] == known[-1 - end]:
        end += 1
    rest, other = text[begin : len(text) - end], known[begin : len(known) - end]
    return max(len(rest), len(other)) == 1 or (len(rest) == 2 and rest == other[::-1])


def _begins_alike(domain: str, known: str) -> bool:
    return domain[0] == known[0] or domain[:2] == known[1::-1]


def _is_of_another_country(domain: str, known: str) -> bool:
    name, _, country = domain.rpartition(".")
    return len(country) == 2 and country not in _SHORT_COM and name == known.rpartition(".")[0]
