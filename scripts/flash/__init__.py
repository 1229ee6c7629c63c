"""Puts the firmware onto a board, and looks after a meter over its console."""
