"""`make drain`: an MDMS that is away for days and comes back, and how fast the concentrator's outbox drains."""
