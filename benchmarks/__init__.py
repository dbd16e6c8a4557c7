"""How many recipients a second of the prober's CPU is worth, beside other ways to ask.

Run as `python -m benchmarks`; docs/benchmarks.rst says what is measured.
"""
