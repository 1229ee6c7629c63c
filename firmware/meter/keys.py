"""The meter's keys: two daily chains, the clock keys and the salt's secret, in one stored record.

Rule 1: the epoch under which the meter seals never goes back. The customer's chain is advanced, stored and
forgotten on every day change, so its epoch is that floor, and survives a restart.
Rule 2: the hop chain's confirmed value stays until an ACK that was sealed under a later epoch has verified: only
then is it certain that the concentrator can follow, and everything earlier is forgotten.
Rule 3: no state moves before a tag has verified; an epoch that cannot be right is refused before any hashing.

"Forgotten" means replaced in storage: flash may keep the old bytes until it erases the sector.
"""

import binascii
import struct
from collections import namedtuple

from protocol import keychain, wire

_NAME = "keys"
_VERSION = 1
_RECORD = ">B8sI32s32sH32sH32s"  # version, the enrolment but its secret, hop chain, customer's chain
_RECORD_BYTES = struct.calcsize(_RECORD)
ACCEPTED_DELAY_DAYS = 7

# What an enrolment sets and nothing changes later.
Enrolment = namedtuple("Enrolment", ("system_title", "series", "hello", "time", "salt_secret"))


class Keys:
    """The stored record and the keys of the day derived from it."""

    def __init__(self, storage):
        """Read the record; raises ValueError where there is none or it is damaged."""
        data = storage.read(_NAME)
        if data is None:
            raise ValueError("no keys are stored: the meter was never enrolled")
        self._storage = storage
        self.enrolment, self._hop, self._customer = _unpack(data)
        self._hop_today = self._hop.at(self._customer.epoch)
        self._derived = {}

    @property
    def epoch(self):
        """The epoch under which the meter seals now."""
        return self._customer.epoch

    @property
    def confirmed_epoch(self):
        """The epoch of the oldest hop chain value that is still kept."""
        return self._hop.epoch

    def advance(self, today):
        """Move to the epoch ``today``, unless it is past. The new chain value is stored before it is used."""
        if today > self.epoch:
            self._keep(self._hop, self._customer.at(today))
            self._hop_today = self._hop_today.at(today)

    def confirm(self, epoch):
        """An ACK sealed under this epoch has verified: forget every earlier hop chain value."""
        if self._hop.epoch < epoch <= self.epoch:
            self._keep(self._hop.at(epoch), self._customer)

    def up(self):
        """Return the hop key of the sealing epoch."""
        return self._key(self._hop_today, keychain.UP)

    def detail(self):
        """Return the customer's key of the sealing epoch."""
        return self._key(self._customer, keychain.DETAIL)

    def down(self, epoch):
        """Return the downlink key of an epoch; raises ValueError for one that is not accepted, without hashing.

        Accepted are the confirmed epoch to the sealing epoch, and no more than seven days back.
        """
        if not max(self._hop.epoch, self.epoch - ACCEPTED_DELAY_DAYS) <= epoch <= self.epoch:
            raise ValueError("an epoch outside the accepted days")
        return self._key(self._hop_today if epoch == self.epoch else self._hop, keychain.DOWN, epoch)

    def _keep(self, hop, customer):
        self._storage.replace(_NAME, _pack(self.enrolment, hop, customer))
        self._hop = hop
        self._customer = customer
        self._derived = {}

    def _key(self, chain, label, epoch=None):
        epoch = chain.epoch if epoch is None else epoch
        if (label, epoch) not in self._derived:
            self._derived[(label, epoch)] = chain.at(epoch).key(label)
        return self._derived[(label, epoch)]


def provision(storage, provisioning, replace=False):
    """Store the keys of an enrolment, once. Returns the Keys.

    ``provisioning`` is a dict: system_title, hop_chain, customer_chain, hello_key, time_key and salt_secret in hex,
    epoch (of both chains) and series as integers. The same enrolment again changes nothing, so that a power cut
    before its file is erased does no harm; another one is refused with ValueError, unless ``replace`` gives the old
    one up.
    """
    epoch = _whole(provisioning, "epoch", wire.EPOCH_NONE - 1)
    enrolment = Enrolment(
        _hex(provisioning, "system_title", wire.TITLE_BYTES, wire.TITLE_BYTES),
        _whole(provisioning, "series", 0xFFFFFFFF),
        _hex(provisioning, "hello_key", keychain.KEY_BYTES, keychain.KEY_BYTES),
        _hex(provisioning, "time_key", keychain.KEY_BYTES, keychain.KEY_BYTES),
        _hex(provisioning, "salt_secret", 16, 64),
    )
    hop = _hex(provisioning, "hop_chain", keychain.KEY_BYTES, keychain.KEY_BYTES)
    customer = _hex(provisioning, "customer_chain", keychain.KEY_BYTES, keychain.KEY_BYTES)
    if replace or storage.read(_NAME) is None:
        record = _pack(enrolment, keychain.Chain(epoch, hop), keychain.Chain(epoch, customer))
        storage.replace(_NAME, record)
    keys = Keys(storage)
    if keys.enrolment != enrolment:
        raise ValueError("the meter holds the keys of another enrolment")
    return keys


def _pack(enrolment, hop, customer):
    title, series, hello, time, secret = enrolment
    chains = (hop.epoch, hop.value, customer.epoch, customer.value)
    record = struct.pack(_RECORD, _VERSION, title, series, hello, time, *chains) + secret
    return record + struct.pack(">I", binascii.crc32(record))


def _unpack(data):
    """Return (Enrolment, hop chain, customer's chain)."""
    record = data[:-4]
    if len(record) < _RECORD_BYTES or record[0] != _VERSION or struct.pack(">I", binascii.crc32(record)) != data[-4:]:
        raise ValueError("the stored keys are damaged")
    fields = struct.unpack(_RECORD, record[:_RECORD_BYTES])
    enrolment = Enrolment(fields[1], fields[2], fields[3], fields[4], record[_RECORD_BYTES:])
    return enrolment, keychain.Chain(*fields[5:7]), keychain.Chain(*fields[7:9])


def _whole(provisioning, name, limit):
    value = provisioning.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise ValueError("provisioning: " + name + " is missing or out of range")
    return value


def _hex(provisioning, name, least, most):
    # Messages give the name only: the values are secrets.
    try:
        value = binascii.unhexlify(provisioning.get(name))
    except (ValueError, TypeError):
        raise ValueError("provisioning: " + name + " is missing or no hex string")
    if not least <= len(value) <= most:
        raise ValueError("provisioning: " + name + " has a wrong length")
    return value
