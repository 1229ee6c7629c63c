"""A converter whose counts come from a file: what a board's clamp would have seen, on MicroPython's unix port.

The file is raw counts, 16 bits each in the machine's byte order, the channels in turn. It is read over and over.
"""

from array import array


class Waveform:
    """A converter (README.md). ``machine_ms()`` paces it as a board's time does; None: as fast as it is asked.

    ``microvolts``: a file of what the chip's own calibration says at each place of the first, 32 bits each; None:
    a chip that has none. Raises ValueError for a file without one turn of the channels.
    """

    def __init__(self, path, channels, rate_hz, machine_ms=None, microvolts=None):
        self._file = open(path, "rb")
        self._turn_bytes = 2 * channels
        if len(self._file.read(self._turn_bytes)) < self._turn_bytes:
            raise ValueError("%s: not one sample of each channel" % path)
        self._file.seek(0)
        self._microvolts = microvolts and open(microvolts, "rb")
        self._machine_ms = machine_ms
        self._begun_ms = machine_ms() if machine_ms else 0
        self._given = 0
        self._single = array("H", (0 for _ in range(channels)))
        self._word = array("I", (0,))
        self.channels = channels
        self.rate_hz = rate_hz
        self.lost = 0
        self.plugged = None

    def sample(self, buffer):
        """See README.md."""
        turns = len(buffer) // self.channels
        if self._machine_ms:
            due = (self._machine_ms() - self._begun_ms) * self.rate_hz // 1000 - self._given - self.lost
            # The rest of a second is all that a board's buffer would hold.
            overrun = max(0, due - self.rate_hz)
            self.lost += overrun
            turns = min(turns, due - overrun)
        view = memoryview(buffer)
        filled = 0
        while filled < turns:
            got = self._file.readinto(view[filled * self.channels : turns * self.channels]) // self._turn_bytes
            filled += got
            if filled < turns:
                self._file.seek(0)
        self._given += turns
        return turns

    def read(self, channel):
        """See README.md: the count of the next turn."""
        if self._file.readinto(self._single) < self._turn_bytes:
            self._file.seek(0)
            self._file.readinto(self._single)
        return self._single[channel]

    def read_uv(self, channel):
        """See README.md: of the next turn."""
        if self._microvolts is None:
            return None
        self.read(channel)
        # readinto left the file behind the turn that was read.
        place = self._file.tell() // 2 - self.channels + channel
        self._microvolts.seek(4 * place)
        self._microvolts.readinto(self._word)
        return self._word[0]
