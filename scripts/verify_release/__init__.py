"""Checks a publication: whether every released sum follows from the signed reports that it is said to be of.

Trusts two public keys, the operator's and the release log's, and nothing else: no database, no private key.

Order of trust: the operator signed the rosters; a roster names the concentrator whose signature makes a report count,
and pins the Paillier key; the reports give the ciphertexts. That a sum follows from its ciphertexts is mathematics.
Which sums were released, of which period, under which k and with which unsafe settings, is the word of the log's key:
whoever has the sums' own roots can make a batch's root under any context. The first thing that is wrong is named, and
ends the check.

Rule 1: what is not signed is only compared. The tables are matched line by line against what is proved, as text.
Rule 2: nothing of the system that made the publication is imported but the two books of the agreement, `paillier` and
`protocol`.
Rule 3: the folder may come from an enemy. Regular files only, none without a limit, nothing printed as it stands there.

Read in order: outcome, files, rosters, reports, keys, bands, batches, tables, proofs, checking, command.
"""

from paillier.proofs import joined_root

from .checking import check
from .command import main
from .outcome import Findings, Options, Unusable, Wrong

__all__ = ["Findings", "Options", "Unusable", "Wrong", "check", "joined_root", "main"]
