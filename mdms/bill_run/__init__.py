"""A billing run: everything that is due of one period is opened, checked, priced and written down, by one command.

Order of reading: `periods` (which period is meant) → `opening` (asks the key holder, several requests at once) →
`book` (what is shipped to whoever works: proofs are checked, bills are priced and set; pure) → `collecting` (what goes
there, from the store) → `folder` (what is durable) → `executors` (who works: processes of this machine, or a Dask
cluster) → `run` (puts them together) → `progress` and `summary` (what the operator sees).

Rule 1: the run decides nothing and remembers nothing but the files that it has written. So it may be killed anywhere,
and the same command goes on; the release worker may run meanwhile.
Rule 2: what leaves for a worker holds no private key, and nothing in clear but released sums.
"""
