"""Calibrates a meter over its serial port with one known load, or two."""
