"""Real energies through the real processes, as fast as they go: from a file of readings to bills and loads.

Read in order: plan (what a file asks for), conduct (time and processes),
outputs (what comes out), __main__ (the command).
"""
