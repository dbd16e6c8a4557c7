"""`mailprobe status --rules`: how often each rule has decided.

Knows how it looks; not what a rule means (verdict/rules.toml).
"""

from __future__ import annotations

import argparse

from twisted_probe.cli.client import Client
from twisted_probe.cli.forms import print_json


def rules(client: Client, arguments: argparse.Namespace) -> int:
    """Show them, the most frequent first; the exit code."""
    answer = client.rules()
    if arguments.json:
        print_json(answer)
        return 0
    found = answer["rules"]
    if not found:
        print("no rule has decided yet")
        return 0
    names = max(len(rule["name"]) for rule in found)
    for rule in found:
        label = rule["label"] or "(not in force)"
        vague = "" if rule["explicit"] is not False else ", vague"
        print(f"{rule['hits']:>9}  {rule['name'].ljust(names)}  {label}{vague}")
    return 0
