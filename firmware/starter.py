# Hushmeter: a board gets this file as main.py, last of all; without it the meter stays at the prompt.
import gc

# Collected often while the code is loaded: what stays then lies close together, and leaves room in one piece.
gc.threshold(4096)
import firmware.start  # noqa: E402 - the collector first

firmware.start.start()
