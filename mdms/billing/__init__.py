"""Billing, pure: which bills are due, what they consist of and what that costs. No Flask, no database.

`StoredWindow` is what billing knows of a window: never its ciphertext.
"""

from .due import DueBill, StoredWindow, StoredWindows, next_due_bill
from .money import BillSum

__all__ = ["BillSum", "DueBill", "StoredWindow", "StoredWindows", "next_due_bill"]
