"""Measures files of raw counts on MicroPython's unix port: `micropython firmware/measure.py JOBS.json`.

JOBS.json is a list of {"waveform": file, "microvolts": file or null, "channels", "rate_hz", "state": directory with
calibration.json or without, "seconds", "period_s"}. For each of them one line of JSON is printed per period: what
the meter's own sensor gave, and what it found wrong. Time is the samples' own, so an hour passes as fast as they are
read.
"""

import json
import sys


def _project_directory():
    parts = __file__.split("/")[:-2]
    return "/".join(parts) if parts else ".." if "/" not in __file__ else "."


sys.path.insert(0, _project_directory())

from firmware.board import unix  # noqa: E402 - the path has to be set first
from firmware.board.waveform import Waveform  # noqa: E402
from firmware.meter import calibration  # noqa: E402
from firmware.meter.measuring import Measuring  # noqa: E402


class Virtual:
    """A converter that counts the time by what it has given."""

    def __init__(self, waveform):
        self._waveform = waveform
        self.channels = waveform.channels
        self.rate_hz = waveform.rate_hz
        self.lost = 0
        self.turns = 0

    def sample(self, buffer):
        """See README.md."""
        turns = self._waveform.sample(buffer)
        self.turns += turns
        return turns

    def utc_ms(self):
        """Return the time since the first sample, in milliseconds."""
        return self.turns * 1000 // self.rate_hz


def measure(job, number):
    """Print one line per period of a job."""
    waveform = Waveform(job["waveform"], job["channels"], job["rate_hz"], None, job.get("microvolts"))
    converter = Virtual(waveform)
    held = calibration.load(unix.Storage(job["state"]))
    found = []
    sensor = Measuring(converter, held, converter.utc_ms, lambda _, text: found.append(text), lambda _: None)
    for start in range(0, job["seconds"], job["period_s"]):
        end = start + job["period_s"]
        while converter.utc_ms() < end * 1000:
            sensor.pump()
        taken = sensor.take(start, end)
        line = {"job": number, "start": start, "found": found, "millihertz": sensor.last.millihertz}
        line["measured"] = None if taken is None else list(taken)
        print(json.dumps(line))
        found.clear()


def main(arguments):
    """Measure every job; returns the exit code."""
    if len(arguments) != 1:
        print("usage: micropython firmware/measure.py JOBS.json", file=sys.stderr)
        return 2
    for number, job in enumerate(json.loads(unix.read_file(arguments[0]))):
        measure(job, number)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
