"""The gate's decisions (protocol, chapter 9) in plain words."""

from .keyholder import messages

WAITING = "waiting"

WORDS = {
    messages.RELEASED: "Released: the sum was opened.",
    WAITING: "Reported, and not decided by the key holder yet.",
    messages.BAD_DOCUMENT: "Not signed by the right concentrator, or malformed.",
    messages.WRONG_KEY: "Encrypted under another neighbourhood's key.",
    messages.NOT_ON_ROSTER: "Names a meter that is not on the neighbourhood's signed roster.",
    messages.TOO_FEW_CONTRIBUTORS: "Too few homes contributed: a sum of so few would say too much about each of them.",
    messages.TOO_LATE: "Asked for more than 48 hours after the interval.",
    messages.ALREADY_RELEASED: "This interval has been opened once already; nothing is opened twice.",
    messages.NOT_CLOSED: "The interval or the period has not ended.",
    messages.WINDOWS_MISSING: "Not every window of the period has been reported.",
    messages.WINDOW_SPENT: "One of its windows is in another bill already; nothing is billed twice.",
    messages.PERIOD_TOO_SHORT: "The period holds too little: its energy joins the next bill.",
    messages.NO_ENERGY: "No reading came in the whole period; what the meter measured meanwhile joins the next bill.",
    messages.NOT_RELEASABLE: "What was opened cannot be a sum of real readings; somebody has to look into it.",
}


def words(status: str) -> str:
    """Return what a decision means."""
    return WORDS.get(status, status)
