"""The picture and the table of a session's states, made from `smtp.states.TABLE`.

Knows Graphviz's language and reStructuredText's tables; not how a session goes.
`python -m docs.make_states` writes docs/states.dot and the table of docs/wire.rst anew.
"""

from __future__ import annotations

from pathlib import Path

from twisted_probe.smtp.states import GROUPABLE, TABLE, State, Verb, after

HERE = Path(__file__).parent
DOT = HERE / "states.dot"
PAGE = HERE / "wire.rst"

_BEGIN = ".. The table is made by docs/make_states.py.\n"
_END = ".. End of the table.\n"
#: Codes that stand for their kinds: a yes, a no, and the exchanger's leave.
_YES, _NO, _LEAVE = 250, 550, 421


def dot() -> str:
    """The picture in Graphviz's language. Solid: a yes. Dashed: what leads on without one."""
    lines = [
        "// Made by docs/make_states.py from twisted_probe/smtp/states.py.",
        "digraph session {",
        '  node [shape=box style=rounded fontname="Helvetica" fontsize=11];',
        '  edge [fontname="Helvetica" fontsize=9];',
    ]
    lines += [f"  {state.value};" for state in State]
    for (begin, end), verbs in _yeses().items():
        words = "\\n".join(verb.value for verb in verbs)
        lines.append(f'  {begin.value} -> {end.value} [label="{words}"];')
    for (begin, end), words in _others().items():
        lines.append(f'  {begin.value} -> {end.value} [label="{words}" style=dashed];')
    return "\n".join([*lines, "}", ""])


def table() -> str:
    """What may be said in each state, and where a yes to it leads."""
    rows = [("State", "Command", "A yes leads to")]
    shown = None
    for (begin, end), verbs in _yeses().items():
        words = ", ".join(verb.value + ("*" if verb in GROUPABLE else "") for verb in verbs)
        rows.append(("\\" if begin is shown else begin.value, words.replace("*", "\\*"), end.value))
        shown = begin
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    rule = "  ".join("=" * width for width in widths)
    texts = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([rule, texts[0], rule, *texts[1:], rule, ""])


def page(text: str) -> str:
    """docs/wire.rst, which reads `text` now, with the table as it should be."""
    before, _, rest = text.partition(_BEGIN)
    _, _, behind = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{behind}"


def _yeses() -> dict[tuple[State, State], list[Verb]]:
    """The table's rows with the same ends, together."""
    found: dict[tuple[State, State], list[Verb]] = {}
    for (begin, verb), end in TABLE.items():
        found.setdefault((begin, end), []).append(verb)
    return found


def _others() -> dict[tuple[State, State], str]:
    """Where any other reply leads somewhere else."""
    found: dict[tuple[State, State], list[str]] = {}
    for begin, verb in TABLE:
        for code, words in ((_NO, f"{verb.value} refused"), (_LEAVE, "421")):
            end = after(begin, verb, code)
            if end not in (begin, after(begin, verb, _YES)):
                known = found.setdefault((begin, end), [])
                if words not in known:
                    known.append(words)
    return {ends: "\\n".join(words) for ends, words in found.items()}


if __name__ == "__main__":
    DOT.write_text(dot(), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
