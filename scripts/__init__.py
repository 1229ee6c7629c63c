"""Commands that people run: make keys, enrol meters, replay a file. Each says what it does with --help."""
