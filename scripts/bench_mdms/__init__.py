"""What one MDMS takes in: a real server over HTTP, on SQLite and on PostgreSQL, and where its time goes."""
