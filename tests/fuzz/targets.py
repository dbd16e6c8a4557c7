"""The targets by their names, and where their corpora and words are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz.grammar_target import check_grammar
from tests.fuzz.session_target import check_session

HERE = Path(__file__).parent
TARGETS: dict[str, Callable[[bytes], object]] = {
    "grammar": check_grammar,
    "session": check_session,
}
#: Words of the dialogue, so that the fuzzer need not find them letter by letter.
WORDS = HERE / "smtp.dict"


def corpus(name: str) -> Path:
    """The folder with the kept inputs of a target."""
    return HERE / "corpus" / name
