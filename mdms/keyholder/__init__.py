"""The key holder: a process of its own with the Paillier private keys, the release gate and the release log.

Read `gate` first; `holder` commits what the gate decides, `state` and `log` keep it, `server` carries it. Nothing
is imported here, so that `client` loads no private half.
"""
