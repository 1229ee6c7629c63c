"""How long a key holder takes to open and prove the bills of many customers, and where the time goes."""
