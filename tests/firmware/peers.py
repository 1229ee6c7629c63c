"""The far ends of a street over TCP: a concentrator behind a bad wire, and a conductor. CPython only."""

import asyncio
import contextlib
import json
import random

from concentrator import Concentrator
from Crypto.Cipher import AES

from protocol import wire


class LibraryCcm:
    """The same CCM from another hand: pycryptodome's."""

    def seal(self, key, nonce, plaintext, aad):
        cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=16)
        cipher.update(aad)
        ciphertext, tag = cipher.encrypt_and_digest(plaintext)
        return ciphertext + tag

    def open(self, key, nonce, sealed, aad):
        cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=16)
        cipher.update(aad)
        return cipher.decrypt_and_verify(sealed[:-16], sealed[-16:])


class Gateway(Concentrator):
    """A concentrator that listens. ``loses``: share of frames lost, each way; ``late_s``: delay of every reply."""

    def __init__(self, enrolled, loses=0.0, bytewise=False, late_s=0.0):
        super().__init__(LibraryCcm(), enrolled)
        self.loses = loses
        self.bytewise = bytewise
        self.late_s = late_s
        self.port = None
        self.noise = b""
        self.failure = None
        self._random = random.Random(1)

    async def serve(self):
        server = await asyncio.start_server(self._converse, "127.0.0.1", self.port or 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _converse(self, reader, writer):
        deframer = wire.Deframer()
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 if self.bytewise else 4096):
                    deframer.feed(data)
                    for frame in deframer:
                        await self._answer(writer, frame)
        except Exception as error:
            self.failure = error
            raise
        finally:
            writer.close()

    async def _answer(self, writer, frame):
        if self._random.random() < self.loses:
            return
        reply = self.take(frame)
        if self.late_s:
            await asyncio.sleep(self.late_s)
        if self._random.random() < self.loses:
            return
        data = self.noise + wire.encode_link(reply)
        for piece in [bytes((b,)) for b in data] if self.bytewise else [data]:
            writer.write(piece)
            await writer.drain()


class Conductor:
    """Deals out the time and waits until the street has settled."""

    def __init__(self):
        self.port = None
        self._lines = None
        self._writer = None
        self._connected = asyncio.Event()

    async def serve(self):
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _converse(self, reader, writer):
        assert json.loads(await reader.readline()) == {"role": "street"}
        self._lines = asyncio.Queue()
        self._writer = writer
        self._connected.set()
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._lines.put_nowait(json.loads(line))
        self._connected.clear()
        writer.close()

    def hang_up(self):
        self._connected.clear()
        self._writer.close()

    async def say(self, **order):
        await asyncio.wait_for(self._connected.wait(), 30)
        self._writer.write(json.dumps(order).encode() + b"\n")
        await self._writer.drain()

    async def hear(self, key, timeout=60):
        while True:
            message = await asyncio.wait_for(self._lines.get(), timeout)
            if key in message:
                return message

    async def settle(self, now_ms, timeout=60):
        await self.say(now_ms=now_ms)
        while (await self.hear("settled_ms", timeout))["settled_ms"] != now_ms:
            pass
