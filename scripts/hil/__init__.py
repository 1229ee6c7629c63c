"""Builds the boards that `make hil` emulates, from packages alone, once for each version of the recipe.

needs.py says what the machine lacks, debian.py fetches sources through a view of a newer suite of its own archive,
building.py makes the firmwares, port/ is what MicroPython's qemu port lacks, emulator/ the board around the RP2040.
"""
