"""The checkup behind `mailprobe doctor`: whether this machine can ask as it is told to.

Each module looks at one thing and gives lines: what was found, and what to do where it is not
well. Nothing is mended here, and no mail transaction is ever opened.
"""
