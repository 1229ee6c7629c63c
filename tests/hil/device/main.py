"""What the board starts with: everything else is compiled and runs from flash."""

import rp2_main  # noqa: F401 - it runs when it is imported
