"""The pictures, as SVG text: black on white, the same bytes at every run.

`schematic` and `isolated` are circuits (schemdraw), `clamp` and `board` are wiring drawings.
"""
