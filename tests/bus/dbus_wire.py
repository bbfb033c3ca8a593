# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small D-Bus client of one's own, so that tests decide when to send, when to read and when to go away.

    client = Client("unix:path=/run/x", uid=65534)
    generation, report = client.call(path, "org.bpfchain1.Manager", "Apply", "ssa{sv}", "edge", "{}", {})
    serial = client.send(...)          # without waiting
    client.reply(serial)               # a Message, or raises Error

Little endian only. Variants are read as their values and written as (signature, value).
"""

import os
import select
import socket
import struct
import time

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED, NO_AUTO_START, ALLOW_INTERACTIVE = 1, 2, 4

_FIXED = {"y": ("B", 1), "n": ("h", 2), "q": ("H", 2), "i": ("i", 4), "u": ("I", 4), "x": ("q", 8), "t": ("Q", 8),
          "d": ("d", 8), "h": ("I", 4)}
_ALIGN = {"b": 4, "s": 4, "o": 4, "g": 1, "a": 4, "v": 1, "(": 8, "{": 8}
_FIELDS = {1: "path", 2: "interface", 3: "member", 4: "error", 5: "reply_serial", 6: "destination", 7: "sender",
           8: "signature"}


class Error(Exception):
    """An error reply; .name is the whole name, .short what stands behind the last dot."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message
        self.short = name.rsplit(".", 1)[-1]


class Gone(Exception):
    """The other end closed the connection."""


def split(signature):
    """The complete types of a signature."""
    types, i = [], 0
    while i < len(signature):
        start = i
        while signature[i] == "a":
            i += 1
        if signature[i] in "({":
            depth = 0
            while True:
                depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[i], 0)
                i += 1
                if depth == 0:
                    break
        else:
            i += 1
        types.append(signature[start:i])
    return types


def _alignment(kind):
    return _FIXED[kind[0]][1] if kind[0] in _FIXED else _ALIGN[kind[0]]


class Writer:
    def __init__(self):
        self.data = bytearray()

    def pad(self, n):
        self.data += bytes(-len(self.data) % n)

    def write(self, kind, value):
        first = kind[0]
        self.pad(_alignment(kind))
        if first in _FIXED:
            self.data += struct.pack("<" + _FIXED[first][0], value)
        elif first == "b":
            self.data += struct.pack("<I", bool(value))
        elif first in "so":
            raw = value if isinstance(value, bytes) else value.encode()
            self.data += struct.pack("<I", len(raw)) + raw + b"\0"
        elif first == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif first == "v":
            self.write("g", value[0])
            self.write(value[0], value[1])
        elif first == "(":
            for inner, item in zip(split(kind[1:-1]), value, strict=True):
                self.write(inner, item)
        elif first == "a":
            self._array(kind[1:], value)
        else:
            raise ValueError(kind)

    def _array(self, kind, value):
        at = len(self.data)
        self.data += bytes(4)
        self.pad(_alignment(kind))
        start = len(self.data)
        if kind == "y":
            self.data += bytes(value)
        elif kind[0] == "{":
            key_kind, value_kind = split(kind[1:-1])
            # A list of pairs, so that tests can give a key twice.
            for key, item in value.items() if isinstance(value, dict) else value:
                self.pad(8)
                self.write(key_kind, key)
                self.write(value_kind, item)
        else:
            for item in value:
                self.write(kind, item)
        self.data[at : at + 4] = struct.pack("<I", len(self.data) - start)


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def pad(self, n):
        self.at += -self.at % n

    def read(self, kind):
        first = kind[0]
        self.pad(_alignment(kind))
        if first in _FIXED:
            letter, size = _FIXED[first]
            (value,) = struct.unpack_from("<" + letter, self.data, self.at)
            self.at += size
            return value
        if first == "b":
            return bool(self.read("u"))
        if first in "so":
            size = self.read("u")
            value = self.data[self.at : self.at + size].decode()
            self.at += size + 1
            return value
        if first == "g":
            size = self.data[self.at]
            value = self.data[self.at + 1 : self.at + 1 + size].decode()
            self.at += size + 2
            return value
        if first == "v":
            return self.read(self.read("g"))
        if first == "(":
            return tuple(self.read(inner) for inner in split(kind[1:-1]))
        return self._array(kind[1:])

    def _array(self, kind):
        size = self.read("u")
        self.pad(_alignment(kind))
        end = self.at + size
        if kind == "y":
            self.at = end
            return bytes(self.data[end - size : end])
        if kind[0] == "{":
            key_kind, value_kind = split(kind[1:-1])
            result = {}
            while self.at < end:
                self.pad(8)
                key = self.read(key_kind)
                result[key] = self.read(value_kind)
            return result
        result = []
        while self.at < end:
            result.append(self.read(kind))
        return result


class Message:
    def __init__(self, kind, serial, fields, body):
        self.kind, self.serial, self.body = kind, serial, body
        for name in _FIELDS.values():
            setattr(self, name, fields.get(name))

    @property
    def result(self):
        """Nothing, the only value, or a tuple."""
        return None if not self.body else self.body[0] if len(self.body) == 1 else tuple(self.body)

    def __repr__(self):
        return f"<{self.kind} {self.path} {self.interface}.{self.member} {self.error} {self.body}>"


def _parse(buffer):
    """(message, bytes it took), or (None, 0) when it is not all there."""
    if len(buffer) < 16:
        return None, 0
    assert buffer[0:1] == b"l", "not little endian"
    body_size, serial, fields_size = struct.unpack_from("<III", buffer, 4)
    start = 16 + fields_size + -(16 + fields_size) % 8
    if len(buffer) < start + body_size:
        return None, 0
    fields = {_FIELDS[code]: value for code, value in Reader(buffer, 12).read("a(yv)") if code in _FIELDS}
    reader = Reader(bytes(buffer[start : start + body_size]))
    body = [reader.read(kind) for kind in split(fields.get("signature", ""))]
    return Message(buffer[1], serial, fields, body), start + body_size


def encode(kind, serial, fields, signature="", arguments=(), flags=0):
    body = Writer()
    for part, value in zip(split(signature), arguments, strict=True):
        body.write(part, value)
    header = Writer()
    kinds = {"path": (1, "o"), "interface": (2, "s"), "member": (3, "s"), "destination": (6, "s"),
             "reply_serial": (5, "u"), "error": (4, "s")}
    pairs = [(kinds[name][0], (kinds[name][1], value)) for name, value in fields.items() if value is not None]
    if signature:
        pairs.append((8, ("g", signature)))
    header.data += struct.pack("<cBBBII", b"l", kind, flags, 1, len(body.data), serial)
    header.write("a(yv)", pairs)
    header.pad(8)
    return bytes(header.data + body.data)


class Client:
    def __init__(self, address, uid=None, hello=True, timeout=30.0, destination="org.bpfchain1"):
        self.timeout, self.destination = timeout, destination
        self.serial, self.buffer = 0, bytearray()
        self.replies, self.signals = {}, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = address.removeprefix("unix:path=").split(",")[0]
        # The peer's credentials are those of the moment of connect().
        if uid is not None:
            os.seteuid(uid)
        try:
            self.socket.connect(path)
        finally:
            if uid is not None:
                os.seteuid(0)
        self.socket.settimeout(timeout)
        self._authenticate(os.geteuid() if uid is None else uid)
        self.name = self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello",
                              destination="org.freedesktop.DBus") if hello else None

    def _authenticate(self, uid):
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
        self._expect(b"OK")
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self._expect(b"")
        self.socket.sendall(b"BEGIN\r\n")

    def _expect(self, word):
        line = b""
        while not line.endswith(b"\r\n"):
            try:
                byte = self.socket.recv(1)
            except ConnectionError:
                byte = b""
            if not byte:
                raise Gone("while authenticating")
            line += byte
        assert line.startswith(word), line

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, path, interface, member, signature="", *arguments, flags=0, destination=None):
        """Sends a call; returns its serial number."""
        self.serial += 1
        fields = {"path": path, "interface": interface, "member": member,
                  "destination": destination or self.destination}
        try:
            self.socket.sendall(encode(CALL, self.serial, fields, signature, arguments, flags))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone("while sending") from error
        return self.serial

    def signal(self, destination, path, interface, member, signature="", *arguments):
        """Sends a signal to one peer."""
        self.serial += 1
        fields = {"path": path, "interface": interface, "member": member, "destination": destination}
        self.socket.sendall(encode(SIGNAL, self.serial, fields, signature, arguments))

    def respond(self, call, error=None):
        """Answers a call that came in, with nothing or with an error of that name."""
        self.serial += 1
        fields = {"reply_serial": call.serial, "destination": call.sender, "error": error}
        self.socket.sendall(encode(ERROR if error else RETURN, self.serial, fields, flags=NO_REPLY_EXPECTED))

    def wait_for_call(self, member):
        deadline = time.monotonic() + self.timeout
        while True:
            for message in self.signals:
                if message.kind == CALL and message.member == member:
                    self.signals.remove(message)
                    return message
            if not self._receive(deadline - time.monotonic()) and time.monotonic() >= deadline:
                raise TimeoutError(f"nobody called {member}")

    def _receive(self, timeout):
        """Takes in what comes within the time; True when something did."""
        if not select.select([self.socket], [], [], max(timeout, 0))[0]:
            return False
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Gone("the connection was closed")
        self.buffer += data
        while True:
            message, size = _parse(self.buffer)
            if not message:
                return True
            del self.buffer[:size]
            if message.kind in (RETURN, ERROR):
                self.replies[message.reply_serial] = message
            elif message.kind == SIGNAL or message.kind == CALL:
                self.signals.append(message)

    def reply(self, serial, timeout=None):
        """Waits for the reply to a call; raises Error for an error."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while serial not in self.replies:
            if not self._receive(deadline - time.monotonic()) and time.monotonic() >= deadline:
                raise TimeoutError(f"no reply to call {serial}")
        message = self.replies.pop(serial)
        if message.kind == ERROR:
            raise Error(message.error, message.body[0] if message.body else "")
        return message

    def call(self, path, interface, member, signature="", *arguments, flags=0, destination=None, timeout=None):
        serial = self.send(path, interface, member, signature, *arguments, flags=flags, destination=destination)
        return self.reply(serial, timeout).result

    def get(self, path, interface, name):
        return self.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)

    def get_all(self, path, interface):
        return self.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)

    def match(self, rule):
        self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", rule,
                  destination="org.freedesktop.DBus")

    def pump(self, idle=0.2):
        """Takes in signals until none comes for a while."""
        while self._receive(idle):
            pass

    def wait_signal(self, member, wanted=lambda signal: True, timeout=None):
        """Waits for a signal that has come or comes; those before it are passed over. None: it did not come."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            while self.signals:
                signal = self.signals.pop(0)
                if signal.member == member and wanted(signal):
                    return signal
            if time.monotonic() >= deadline:
                return None
            self._receive(deadline - time.monotonic())

    def take_signals(self, idle=0.2):
        self.pump(idle)
        signals, self.signals = self.signals, []
        return signals
