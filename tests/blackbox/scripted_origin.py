"""An origin whose every byte a test decides."""

import socket
import threading


class ScriptedOrigin:
    """Calls `script(connection, head)` for each request head; keeps what it received."""

    def __init__(self, script, address=("127.0.0.1", 0)):
        is_unix = isinstance(address, str)
        self.listening = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        self.listening.bind(address)
        self.listening.listen(256)
        self.address = address if is_unix else "127.0.0.1:%d" % self.listening.getsockname()[1]
        self.script, self.heads, self.connections = script, [], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(20)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            reader = connection.makefile("rb")
            try:
                while True:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        line = reader.readline()
                        if not line:
                            return
                        head += line
                    self.heads.append(head)
                    if self.script(connection, reader, head) == "close":
                        return
            except OSError:
                return

    def close(self):
        try:
            self.listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listening.close()


def says(raw, then=None):
    """A script that answers every request with these bytes."""
    def script(connection, _reader, _head):
        connection.sendall(raw)
        return then
    return script
