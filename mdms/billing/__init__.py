"""Billing, pure: which bills are due and what they consist of. No Flask, no database, no money yet.

`StoredWindow` is what billing knows of a window: never its ciphertext.
"""

from .due import DueBill, StoredWindow, StoredWindows, next_due_bill

__all__ = ["DueBill", "StoredWindow", "StoredWindows", "next_due_bill"]
