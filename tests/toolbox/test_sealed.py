"""What travels between the leading process and a worker, when something is between them."""

import contextlib
import multiprocessing
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Client, Connection, Listener

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolbox.backends.scoop import Scoop
from toolbox.backends.sealed import Sealed, lost_after, socket_of
from toolbox.backends.station import ALIVE
from toolbox.measure import Job, Outcome

KEY = b"k" * 32
MESSAGES = st.lists(st.binary(max_size=40) | st.integers() | st.text(max_size=5), max_size=6)


def pair():
    """Both sides of a sealed connection, and the raw ones."""
    raw = [Connection(one.detach()) for one in socket.socketpair()]
    with contextlib.ExitStack() as stack:
        stack.callback(raw[0].close)
        stack.callback(raw[1].close)
        made = []
        other = threading.Thread(target=lambda: made.append(Sealed(raw[1], KEY, leads=False)))
        other.start()
        leading = Sealed(raw[0], KEY, leads=True)
        other.join()
        stack.pop_all()
    return leading, *made, raw


def packets(messages):
    """What a leading process sends for these messages: the bytes of each."""
    leading, worker, raw = pair()
    with contextlib.closing(raw[0]), contextlib.closing(raw[1]):
        for message in messages:
            leading.send(message)
        return worker, [raw[1].recv_bytes() for _ in messages]


def received(worker, sent):
    """What a worker takes of these bytes, and whether it saw that something was wrong."""
    ends = [Connection(one.detach()) for one in socket.socketpair()]
    worker.connection = ends[1]
    with contextlib.closing(ends[0]), contextlib.closing(ends[1]):
        for packet in sent:
            ends[0].send_bytes(packet)
        ends[0].close()
        taken = []
        try:
            while True:
                taken.append(worker.recv())
        except EOFError:
            return taken, False
        except OSError:
            return taken, True


@given(MESSAGES)
def test_messages_arrive_as_they_are(messages):
    assert received(*packets(messages)) == (messages, False)


@settings(max_examples=300)
@given(st.data())
def test_what_is_disturbed_is_seen_and_never_taken(data):
    messages = data.draw(MESSAGES.filter(bool))
    worker, sent = packets(messages)
    place = data.draw(st.integers(0, len(sent) - 1))
    kind = data.draw(st.sampled_from(["changed", "repeated", "left out", "moved", "cut", "new"]))
    disturbed = list(sent)
    if kind == "changed":
        at = data.draw(st.integers(0, len(sent[place]) - 1))
        flipped = data.draw(st.integers(1, 255))
        packet = bytearray(sent[place])
        packet[at] ^= flipped
        disturbed[place] = bytes(packet)
    elif kind == "repeated":
        disturbed.insert(data.draw(st.integers(place + 1, len(sent))), sent[place])
    elif kind == "left out":
        del disturbed[place]
    elif kind == "moved":
        disturbed.insert(data.draw(st.integers(0, len(sent) - 1)), disturbed.pop(place))
    elif kind == "cut":
        disturbed[place] = sent[place][: data.draw(st.integers(0, len(sent[place]) - 1))]
    else:
        disturbed.insert(place, data.draw(st.binary(max_size=60)))
    taken, seen = received(worker, disturbed)
    same = disturbed == sent or disturbed == sent[: len(disturbed)]  # the last was left out
    assert taken == messages[: len(taken)]
    assert seen != same


def test_nothing_that_was_changed_is_unpickled():
    worker, (sent,) = packets([0])

    class Trap:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    assert received(worker, [sent[:16] + pickle.dumps(Trap())]) == ([], True)


def test_a_message_is_no_answer_and_no_message_of_another_connection():
    leading, _, raw = pair()
    _, other_worker, other_raw = pair()
    leading.send("a")
    packet = raw[1].recv_bytes()
    raw[1].send_bytes(packet)
    with pytest.raises(OSError, match="changed on its way"):
        leading.recv()
    other_raw[0].send_bytes(packet)
    with pytest.raises(OSError, match="changed on its way"):
        other_worker.recv()
    for one in (*raw, *other_raw):
        one.close()


def test_a_connection_that_stands_still_in_a_message_is_lost():
    leading, worker, raw = pair()
    lost_after(raw[0], 0.2)
    worker.send("whole")
    raw[1]._send(struct.pack("!i", 100) + b"a part")
    assert leading.recv() == "whole"
    with pytest.raises(OSError, match="temporarily unavailable"):
        leading.recv()
    for one in raw:
        one.close()


def test_a_length_that_no_message_has_is_lost():
    leading, _, raw = pair()
    raw[1]._send(struct.pack("!iQ", -1, 2**62))
    with pytest.raises(OSError, match="bad message length"):
        leading.recv()
    for one in raw:
        one.close()


class Proxy:
    """Stands between a worker and the leading process, and disturbs one message of the worker."""

    def __init__(self, address, disturb):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address, self.target, self.disturb = self.door.getsockname(), address, disturb
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            with self.door:
                worker = Connection(self.door.accept()[0].detach())
            leading = Connection(socket.create_connection(self.target).detach())
            for pair, disturb in (((leading, worker), None), ((worker, leading), self.disturb)):
                threading.Thread(target=_carry, args=(*pair, disturb), daemon=True).start()


def _carry(source, target, disturb):
    """Hand on messages as multiprocessing frames them."""
    with contextlib.suppress(OSError, EOFError):
        number = 0
        while True:
            message = source.recv_bytes()
            for one in disturb(number, message) if disturb else [message]:
                target.send_bytes(one)
            number += 1
    with contextlib.suppress(OSError), socket_of(target) as same:
        same.shutdown(socket.SHUT_RDWR)


def changed(number, message):
    if number < FIRST_OUTCOME:
        return [message]
    packet = bytearray(message)
    packet[-20] ^= 1
    return [bytes(packet)]


def repeated(number, message):
    return [message] * (2 if number == FIRST_OUTCOME else 1)


def left_out(number, message):
    return [] if number == FIRST_OUTCOME else [message]


# Of a worker: its answer to the challenge, its own challenge, the welcome, its nonce, its name.
FIRST_OUTCOME = 5


@pytest.mark.parametrize("disturb", [changed, repeated, left_out])
def test_a_worker_whose_messages_are_disturbed_is_lost_and_nothing_else(monkeypatch, disturb):
    """Two workers, one behind a proxy: every job has one outcome, and that is its own."""
    import scoop

    monkeypatch.setattr(scoop, "IS_RUNNING", True, raising=False)
    monkeypatch.setattr(scoop, "SIZE", 3, raising=False)
    backend = Scoop()
    backend._begun = backend._broker_seen = time.monotonic() + 3600
    backend._listener = Listener(("127.0.0.1", 0))
    address = backend._listener.address
    threading.Thread(target=backend._watch_the_door, args=(KEY,), daemon=True).start()
    proxy = Proxy(address, disturb)
    for where in (address, proxy.address):
        threading.Thread(target=a_worker, args=(where,), daemon=True).start()
    while len(backend._arrivals) < 2:
        time.sleep(0.01)
    for _ in range(2):
        backend._bell.recv_bytes()
        backend._welcome(*backend._arrivals.pop(0), time.monotonic())
    jobs = [Job(number, [number]) for number in range(12)]
    outcomes = list(backend(abs, iter(jobs)))
    assert len(backend._workers) == 1
    backend.close()
    assert sorted(one.number for one in outcomes) == list(range(12))
    assert all(one.measurement == {"ones": float(one.number)} for one in outcomes)
    assert {one.status for one in outcomes} == {"ok"}
    assert max(one.attempts for one in outcomes) == 2


def a_worker(address):
    with contextlib.suppress(OSError, EOFError):
        connection = Client(address, authkey=KEY)
        sealed = Sealed(connection, KEY, leads=False)
        sealed.send(("here", 1))
        sealed.recv()  # the function
        while True:
            job = sealed.recv()
            time.sleep(0.02)
            sealed.send(Outcome(job.number, "ok", {"ones": float(job.genome[0])}))
            sealed.send(ALIVE)


def test_one_who_says_nothing_keeps_nobody_out(monkeypatch):
    import scoop

    monkeypatch.setattr(scoop, "IS_RUNNING", True, raising=False)
    monkeypatch.setattr(scoop, "SIZE", 2, raising=False)
    backend = Scoop()
    backend._listener = Listener(("127.0.0.1", 0))
    threading.Thread(target=backend._watch_the_door, args=(KEY,), daemon=True).start()
    silent = socket.create_connection(backend._listener.address)
    with pytest.raises(multiprocessing.AuthenticationError):
        Client(backend._listener.address, authkey=b"another key")
    threading.Thread(target=a_worker, args=(backend._listener.address,), daemon=True).start()
    end = time.monotonic() + 10
    while not backend._arrivals:
        assert time.monotonic() < end
        time.sleep(0.01)
    silent.close()
    backend._arrivals.pop(0)[0].close()
    backend.close()


UNREAD = """
import os, sys
from toolbox.backends.station import stand_ready
ear, mouth = os.pipe()
os.close(ear)
sys.stdout = open(mouth, "w")
print("what nobody reads any more")
stand_ready(("127.0.0.1", 1), b"key", [], None)
"""


def test_a_worker_whose_output_nobody_reads_ends_all_the_same():
    """It would go back to SCOOP and wait there for ever."""
    done = subprocess.run([sys.executable, "-c", UNREAD], stderr=subprocess.PIPE, text=True)
    assert "ConnectionRefusedError" in done.stderr
    assert "BrokenPipeError" not in done.stderr
    assert done.returncode == 0
