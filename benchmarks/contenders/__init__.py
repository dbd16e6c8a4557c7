"""The contenders: each module is one way to ask an exchanger about recipients.

Each has one function, `contend`, which does the errands that it is handed, one after the other.
What it does before it takes the first one, such as to start an event loop, is not measured.
"""
