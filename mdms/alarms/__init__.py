"""Alarms that reach a person: what the fleet's rules find is told once, reminded of, and told to be over.

`settings` is the configuration, `ledger` what was raised and is to be sent, `delivery` sends it by `mail` and
`webhook`, `watch` is the process. Messages hold times, counts and neighbourhoods' names, and nothing of one home.
"""
