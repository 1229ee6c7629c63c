"""The meter: README.md says in which order to read it."""
