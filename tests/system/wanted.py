"""Figures beside what is wanted of them: printed, and never asserted, for machines are noisy."""


def tell(say, name, figure, wanted, more=False):
    """Print a figure, and whether it is ``wanted`` or less, or with ``more`` as much or more."""
    reached = figure >= wanted if more else figure <= wanted
    bound = "or more" if more else "or less"
    say(f"{'reached    ' if reached else 'NOT REACHED'} {name}: {figure:,.2f}, wanted {wanted:,} {bound}")
