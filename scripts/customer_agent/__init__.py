"""The customer's own agent: fetches sealed rows, opens them at home, and offers them to Home Assistant or to files.

It runs on the customer's machine with the customer's key, and only where the customer starts it. What it sends to the
utility is what the portal's page sends: an account, an answer to a challenge, a number. What it opens it keeps in
memory and gives to the home's own broker. `opening`, `newest` and `home_assistant` do no I/O; `portal` and `broker`
speak, `agent` decides when; `exporting` and `espi` make files instead.
"""
