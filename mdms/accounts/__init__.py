"""Who may open which page: the utility's users, sessions, and the address that browsers know this server by."""
