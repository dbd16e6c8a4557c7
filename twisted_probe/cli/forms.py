"""The forms in which outcomes are printed, and the options that choose one.

Knows the names of the forms and the lines of JSON; the table is `cli.table`'s. Nothing heavy is
imported here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

TABLE = "table"
JSON = "json"
REACHER = "reacher"
FORMS = (TABLE, JSON, REACHER)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--format`, and `--json` for the form that programs take most often."""
    parser.add_argument(
        "--format",
        choices=FORMS,
        default=TABLE,
        help="table is for people; json is an outcome a line; reacher is a line of the JSON that "
        "check-if-email-exists gives (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_const", const=JSON, dest="format", help="the same as --format json"
    )


def print_record(record: Mapping[str, Any], form: str) -> None:
    """Print one record (`Outcome.record()`) as a line of JSON."""
    if form == REACHER:
        from twisted_probe.cli.reacher import reacher

        record = reacher(record)
    print_json(record)


def print_json(answer: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(answer, ensure_ascii=False), flush=True)
