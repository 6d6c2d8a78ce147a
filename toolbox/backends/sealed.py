"""Messages between the leading process and a worker that nobody can change on their way.

`multiprocessing` lets nobody in who does not know the key.  From then on each message carries a
keyed digest of the connection, the direction, its place in the order, and its content.  One that
was changed, repeated, moved or left out is an OSError, and nothing of it is unpickled.
"""

import pickle
import secrets
import socket
import struct
import sys
from hashlib import blake2b
from hmac import compare_digest
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from os import dup
from typing import Any

DIGEST_BYTES, NONCE_BYTES = 16, 16
LONGEST = 2**30  # bytes of a message; a length beyond that is none


class Sealed:
    """One side of a connection; both have proved that they know the key.

    leads: whether this is the leading process's side.
    """

    def __init__(self, connection: Connection, key: bytes, leads: bool):
        self.connection = connection
        own = secrets.token_bytes(NONCE_BYTES)
        connection.send_bytes(own)
        theirs = connection.recv_bytes(NONCE_BYTES)
        both = own + theirs if leads else theirs + own
        self._key = blake2b(both, key=key).digest()
        self._leads = leads
        self._sent = self._received = 0

    @classmethod
    def admitted(cls, connection: Connection, key: bytes, seconds: float) -> "Sealed":
        """The leading process's side of a connection that has just been made.

        seconds: without anything for so long, in the middle of a message too, it is lost.  Raises
        AuthenticationError for who does not know the key, and EOFError or OSError.
        """
        lost_after(connection, seconds)
        deliver_challenge(connection, key)
        answer_challenge(connection, key)
        return cls(connection, key, leads=True)

    def send(self, message: object) -> None:
        """Raises OSError, after which nothing more can be sent."""
        content = pickle.dumps(message)
        self.connection.send_bytes(self._digest(self._leads, self._sent, content) + content)
        self._sent += 1

    def recv(self) -> Any:
        """The next message.  Raises EOFError at the end, and OSError for one that is not it."""
        data = memoryview(self.connection.recv_bytes(LONGEST))
        digest, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if not compare_digest(digest, self._digest(not self._leads, self._received, content)):
            raise OSError("a message was changed on its way")
        self._received += 1
        return pickle.loads(content)

    def _digest(self, leads: bool, number: int, content: bytes | memoryview) -> bytes:
        digest = blake2b(struct.pack("<?Q", leads, number), digest_size=DIGEST_BYTES, key=self._key)
        digest.update(content)
        return digest.digest()

    def poll(self) -> bool:
        """Whether something has arrived, or the end."""
        return self.connection.poll()

    def fileno(self) -> int:
        return self.connection.fileno()

    def close(self) -> None:
        self.connection.close()


def lost_after(connection: Connection, seconds: float) -> None:
    """Let a TCP connection be lost, with an OSError, where one byte waits longer than this for the
    next, or cannot be sent for so long."""
    if sys.platform == "win32":
        time = struct.pack("L", int(seconds * 1000))
    else:
        time = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    with socket_of(connection) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time)
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time)


def socket_of(connection: Connection | Sealed) -> socket.socket:
    """The socket of a TCP connection, to be closed; the connection stays open."""
    return socket.socket(fileno=dup(connection.fileno()))
