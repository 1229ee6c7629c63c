"""The operator's door: how the fleet is, alarms, and requests that a second person approves.

Nothing here is signed: what an operator decides is carried out elsewhere, with a key that this server never has.
"""
