"""A serial cable without a board at its ends."""

import os
import select
import threading
import tty


class Cable:
    """A serial cable: two ptys whose bytes go from one to the other."""

    def __init__(self, one, other):
        self._paths = (one, other)

    def __enter__(self):
        self._open = True
        self._masters = []
        self._slaves = []
        for path in self._paths:
            master, slave = os.openpty()
            tty.setraw(slave)
            path.symlink_to(os.ttyname(slave))
            self._masters.append(master)
            self._slaves.append(slave)
        self._threads = [
            threading.Thread(target=self._carry, args=pair) for pair in (self._masters, self._masters[::-1])
        ]
        for thread in self._threads:
            thread.start()

    def _carry(self, source, sink):
        while self._open:
            if select.select([source], [], [], 0.1)[0]:
                os.write(sink, os.read(source, 4096))

    def __exit__(self, *_):
        self._open = False
        for thread in self._threads:
            thread.join()
        for descriptor in (*self._masters, *self._slaves):
            os.close(descriptor)
