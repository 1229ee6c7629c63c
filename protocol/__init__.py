"""The agreement between the rooms, byte for byte: pure functions, no I/O, no clock, no configuration, no logging.

README.md beside this file is the specification; each module implements one chapter of it.
"""
