"""tap/mailprobe.toml against the table of settings, key by key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.daemon.config import read_config
from twisted_probe.daemon.settings import BY_NAME, REPEATED, SETTINGS, TABLES, Setting
from twisted_probe.vocabulary.kinds import Unfit
from twisted_probe.vocabulary.toml_text import parsed, written

FILE = Path(__file__).parent.parent.parent / "tap" / "mailprobe.toml"
TEXT = FILE.read_text("utf-8")

_KEY = re.compile(r"#?([a-z_]+) = ")
_TABLE = re.compile(r"#?\[+([a-z]+)\]+")


def uncommented() -> str:
    """The file with every key in force."""
    return "".join(
        line[1:] if line.startswith("#") and (_KEY.match(line) or _TABLE.match(line)) else line
        for line in TEXT.splitlines(keepends=True)
    )


def document() -> dict[str, Any]:
    return parsed(uncommented().encode(), "mailprobe.toml")


def values() -> dict[str, Any]:
    """The keys of the file, by their full names."""
    found: dict[str, Any] = {}
    for key, value in document().items():
        if key in TABLES:
            found |= {f"{key}.{name}": each for name, each in value.items()}
        elif key in REPEATED:
            (entry,) = value
            found |= {f"{key}.{name}": each for name, each in entry.items()}
        else:
            found[key] = value
    return found


def comments() -> dict[str, str]:
    """What is said above each key, as one line of text, in the order of the file."""
    found: dict[str, str] = {}
    table = ""
    words: list[str] = []
    for line in TEXT.splitlines():
        if match := _TABLE.fullmatch(line):
            table, words = f"{match[1]}.", []
        elif match := _KEY.match(line):
            found[table + match[1]], words = " ".join(words), []
        elif line.startswith("#"):
            words.append(line[1:].strip())
        else:
            words = []
    return found


def test_no_key_is_missing_and_none_is_too_many() -> None:
    assert list(values()) == [setting.name for setting in SETTINGS]
    assert list(comments()) == [setting.name for setting in SETTINGS]
    assert len(BY_NAME) == len(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
class TestEachKey:
    def test_its_default(self, setting: Setting) -> None:
        value = values()[setting.name]
        if setting.default is None:
            assert "Default: none." in comments()[setting.name]
            return
        default = setting.default
        plain = list(default) if isinstance(default, tuple) else default
        assert value == plain
        assert type(value) is type(plain) or isinstance(plain, float)
        shown = [f"{each:g}" for each in plain] if isinstance(plain, list) else None
        words = f"[{', '.join(shown)}]" if shown is not None else written(value)
        assert f"Default: {words}." in comments()[setting.name]

    def test_its_value_can_be_written(self, setting: Setting) -> None:
        made = setting.kind.read(values()[setting.name])
        if setting.default is not None:
            assert made == setting.default

    def test_its_words(self, setting: Setting) -> None:
        said = comments()[setting.name]
        assert said.startswith(setting.meaning)
        assert f"Unit: {setting.unit}." in said
        assert f"Takes {setting.kind.expected}." in said
        assert said.endswith(f"Why: {setting.reason}.")
        assert ("Takes effect at the next start." in said) is not setting.is_live

    def test_it_is_in_force_only_where_it_has_to_be_set(self, setting: Setting) -> None:
        wanted = {"spool", "reverse_path", "source.address", "source.helo"}
        table, key = f"[[{setting.table}]]\n" if setting.table in REPEATED else "", setting.key
        part = TEXT[TEXT.index(table) :] if table else TEXT
        if setting.table in TABLES:
            part = TEXT[TEXT.index(f"\n[{setting.table}]") :]
        line = next(each for each in part.splitlines() if re.match(rf"#?{key} = ", each))
        assert line.startswith(key) is (setting.name in wanted)

    def test_it_refuses_what_is_not_of_its_kind(self, setting: Setting) -> None:
        nothing: tuple[Any, ...] = ({}, [{}], [[]], float("nan"))
        for wrong in nothing:
            with pytest.raises(Unfit):
                setting.kind.read(wrong)
        assert setting.kind.expected


def test_the_file_can_be_used_as_it_is() -> None:
    config = read_config(file=FILE)
    assert config.spool == Path("/var/spool/mailprobe")
    assert [source.helo for source in config.sources] == ["probe1.example.org"]


def test_every_option_of_the_command_line_is_told_of() -> None:
    from twisted_probe.tap import Options

    words = " ".join(str(Options()).split())
    options = [setting.option for setting in SETTINGS if setting.option is not None]
    assert [option for option in options if f" {option}" not in words] == []
