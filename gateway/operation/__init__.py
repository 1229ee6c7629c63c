"""What an operator does with a concentrator: looks at it, watches it, sets aside, saves and restores, installs."""
