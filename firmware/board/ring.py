"""The reading side of a ring of conversions that something else fills in the background; no hardware in here.

Rule: turns are taken whole and in order. What the writer has passed by is counted in ``lost``, never guessed at.
"""


class Ring:
    """``view``: memoryview of array("H") of a ring; its length is a multiple of ``channels`` and a power of two."""

    def __init__(self, view, channels):
        size = len(view)
        if size & (size - 1) or size % channels:
            raise ValueError("a ring has a power of two of counts, whole turns of them")
        self._view = view
        self._channels = channels
        # What lies this close before the writer may be overwritten while it is copied.
        self._usable = size - size // 8
        self._taken = 0  # conversions since the start, modulo 2**30 like the writer's
        self.lost = 0  # turns

    def sample(self, buffer, written):
        """Copy what is new into ``buffer``, an array("H"); returns how many turns.

        ``written``: conversions since the start, modulo 2**30: asked for at least once in as many.
        """
        channels, size = self._channels, len(self._view)
        ready = (written - self._taken) & 0x3FFFFFFF
        if ready > self._usable:
            passed = -((self._usable - ready) // channels)
            self.lost += passed
            self._taken = (self._taken + passed * channels) & 0x3FFFFFFF
            ready -= passed * channels
        turns = min(ready, len(buffer)) // channels
        count = turns * channels
        into = memoryview(buffer)
        at = self._taken % size
        first = min(count, size - at)
        into[:first] = self._view[at : at + first]
        into[first:count] = self._view[: count - first]
        self._taken = (self._taken + count) & 0x3FFFFFFF
        return turns

    def newest(self, channel, written):
        """Return the newest count of a channel; there must be one."""
        turn = written // self._channels - 1
        return self._view[(turn * self._channels + channel) % len(self._view)]
