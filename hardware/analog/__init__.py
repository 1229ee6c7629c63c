"""The arithmetic of the front end, in the order in which a signal meets it.

`bias` sets where zero stands, `current` and `voltage` scale the two signals, `filters` delays and weakens them,
`protection` bounds what goes wrong, `budget` adds the errors up. `rules` says what must hold; `report` prints it all.
Pure functions of a Circuit; volts, amperes, ohms, hertz, fractions.
"""
