"""MicroPython's cryptolib for CPython, on pycryptodome: ECB (1) and CBC (2) only, no 192-bit keys, as on the chips."""

from Crypto.Cipher import AES

_CHIP_KEYS = (16, 32)


class aes:
    def __init__(self, key, mode, iv=None):
        if len(key) not in _CHIP_KEYS:
            raise ValueError("key")
        if mode not in (1, 2):
            raise ValueError("mode")
        self._cipher = AES.new(bytes(key), AES.MODE_ECB) if mode == 1 else AES.new(bytes(key), AES.MODE_CBC, iv)

    def encrypt(self, source, target=None):
        return self._put(self._cipher.encrypt(bytes(source)), target)

    def decrypt(self, source, target=None):
        return self._put(self._cipher.decrypt(bytes(source)), target)

    @staticmethod
    def _put(result, target):
        if target is None:
            return result
        target[: len(result)] = result
        return target
