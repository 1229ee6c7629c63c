"""A street that comes alive: simulated homes, real firmware, real daemons, real pages, an accelerated clock.

Read in order: town (who lives there), chaos (what goes wrong on purpose), conduct (how time passes), say (what a person
reads), __main__ (the command).
"""
