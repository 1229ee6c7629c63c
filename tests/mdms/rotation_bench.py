"""A street whose Paillier key changes at a period's start, with windows left over under the old one."""

from contextlib import contextmanager

from mdms_bench import APRIL, DAY, MARCH, Street

from mdms.keyholder.keyring import hold
from mdms.rosters import RosterBook
from protocol.rosters import Member
from protocol.windows import WINDOW_S

WHOLE = (APRIL - MARCH) // WINDOW_S
MAY = APRIL + 30 * DAY


class Rotated:
    """A street before and after April: the same meters and concentrator, another Paillier key.

    Its tenancies begin ``old_windows`` windows before April.
    """

    def __init__(self, street, old_windows=WHOLE):
        self.since = APRIL - old_windows * WINDOW_S
        members = [Member(member.pseudonym, self.since) for member in street.members]
        self.before, self.after = street, Street(street.name)
        facts = {"concentrator": street.roster.concentrator}
        self.rosters = [
            street.make_roster(1, self.since, members),
            self.after.make_roster(2, APRIL, members, **facts),
        ]
        self.after.key = street.key
        self.book = RosterBook(self.rosters)
        self.keyring = {one.public.fingerprint: hold(one.private) for one in (self.before, self.after)}

    def windows(self, meter=0):
        """All windows up to May, 1 mWh each, those from April on under the new key."""
        old = self.before.windows(self.since, APRIL, meter)
        return old, self.after.windows(APRIL, MAY, meter)


@contextmanager
def two_keys(scene, old_windows):
    """A key holder with both keys on the first of May, and all windows up to there.

    It has refused March, where that was too short; where it was whole nobody has asked.
    """
    rotated = Rotated(scene.north, old_windows)
    scene.holder.close()
    scene.holder = holder = scene.bench.holder(
        scene.folder, APRIL, scene.policy, rotated.book, scene.tariffs, rotated.keyring
    )
    old, new = rotated.windows()
    if old_windows < WHOLE:
        assert holder.bill(old, rotated.before.members[0].pseudonym)["status"] == "period_too_short"
    holder.clock.now = MAY
    yield holder, [*old, *new]
