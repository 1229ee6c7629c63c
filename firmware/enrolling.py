"""Gives a meter its keys, once; takes an enrolment's place only when it is told to.

Replacing forgets what belongs to the old enrolment: keys, registers, waiting frames, lengths. A power cut on the way
leaves a marker, and the next start goes on from there: never the new keys with the old registers.
The invocation counter is kept: it does no harm under new keys, and under the old ones it must never go back. A damaged
one begins anew, under the new keys.
"""

from firmware.meter import counter, lengths, store
from firmware.meter.keys import Keys, provision

_MARKER = "replacing"


def title(storage):
    """Return the system title of the stored enrolment, or None; raises ValueError for damaged keys."""
    return Keys(storage).enrolment.system_title if storage.read("keys") else None


def enrol(storage, provisioning, replace=False):
    """Store an enrolment (keys.provision). Returns its system title.

    Raises ValueError where the meter holds another one and ``replace`` does not say that it is to be given up.
    """
    fresh = provision(_Memory(), provisioning)  # checks it before anything is given up
    if not replace or _holds(storage, fresh.enrolment.system_title):
        return provision(storage, provisioning).enrolment.system_title
    storage.replace(_MARKER, fresh.enrolment.system_title)
    provision(storage, provisioning, replace=True)
    finish(storage)
    return fresh.enrolment.system_title


def finish(storage):
    """Finish a replacement that a power cut interrupted; returns whether there was one to finish."""
    marker = storage.read(_MARKER)
    if not marker:
        return False
    replaced = title(storage) == marker  # else the cut came before the new keys: the old enrolment still holds
    if replaced:
        store.erase(storage)
        lengths.erase(storage)
        counter.erase_damaged(storage)
    storage.replace(_MARKER, b"")
    return replaced


def _holds(storage, system_title):
    try:
        return title(storage) == system_title
    except ValueError:
        return False  # damaged keys: nothing that could be kept


class _Memory:
    def __init__(self):
        self._pieces = {}

    def read(self, name):
        return self._pieces.get(name)

    def replace(self, name, data):
        self._pieces[name] = data
