"""How the fleet is: who is silent, whose clock is off, whose windows are missing, what waits and what was refused.

`facts` says what is known, `questions` asks the database for it, `rules` judges it, purely. No energy is in any of it.
"""
