"""Storage of an ESP32: keys, counter and Wi-Fi password in NVS, everything else in files.

NVS is built for small values that are replaced and survives a power cut at any write (ESP-IDF, "Non-Volatile Storage
Library"); with NVS encryption on, which flash encryption brings, its values are not in clear.
"""

import esp32

from firmware.board.files import Storage

_SMALL = ("keys", "counter", "wifi")
_LONGEST = 512  # bytes; all are below 200
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND


class NvsStorage(Storage):
    """As files.Storage; ``namespace`` has at most 15 characters."""

    def __init__(self, directory, namespace="hushmeter"):
        super().__init__(directory)
        self._nvs = esp32.NVS(namespace)

    def read(self, name):
        """Return the bytes of a piece, or None where there is none."""
        if name not in _SMALL:
            return super().read(name)
        buffer = bytearray(_LONGEST)
        try:
            length = self._nvs.get_blob(name, buffer)
        except OSError as error:
            if error.args[0] != _NOT_FOUND:
                raise
            return None
        return bytes(buffer[:length])

    def replace(self, name, data):
        """Replace a piece as a whole: a power cut leaves the old or the new one."""
        if name not in _SMALL:
            super().replace(name, data)
            return
        self._nvs.set_blob(name, data)
        self._nvs.commit()
