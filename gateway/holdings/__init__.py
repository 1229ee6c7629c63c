"""What the ledger holds, one subject to a module: the SQL of its tables, as plain functions of a ledger. No rules."""
