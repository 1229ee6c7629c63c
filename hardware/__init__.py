"""How to build a meter: its circuit as data, and what is made from it.

`circuit.toml` holds every component value; `circuit.py` reads it. `analog/` is the arithmetic and the rules that the
values must keep; `drawing/` and `bill.py` make the pictures and the bill of materials. Imports no room.
"""
