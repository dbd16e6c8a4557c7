"""Durable work: files dropped in a spool, their recipients in a ledger, their results in order.

Knows what must outlive the process; not how a recipient is asked (`routing`).
"""
