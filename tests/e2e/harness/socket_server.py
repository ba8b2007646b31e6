"""A unix socket that a test serves."""

import contextlib
import os
import socket
import threading


class SocketServer:
    """Listens at `path` from construction to close(). A subclass has serve(connection), which runs in a thread
    of the connection's own and need not close it; what it wants of itself is there before __init__ of this."""

    def __init__(self, path):
        self.path = str(path)
        self.open = set()  # connections
        self.accepted = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Takes no more connections; those that are open stay."""
        # shutdown() ends the accept() of the other thread; close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        # A peer that is killed resets its connection.
        with contextlib.suppress(ConnectionError), connection:
            self.serve(connection)
        self.open.discard(connection)
