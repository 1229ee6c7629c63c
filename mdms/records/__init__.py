"""What the MDMS knows, a subject a file; each function takes the store and has its own explicit query or transaction.

Strategy: ciphertexts and sealed rows go in and come out as the bytes that arrived. The only energies in clear are
released sums, in ``load_releases`` and ``bills`` and in the ``release_batches`` that prove them.

`loads`, `windows` and `bills` are what is balanced and billed, `documents` the signed reports and proofs behind them,
`sealed` what only a customer's key opens. What a single door asks for is in a file beside its pages.
"""
