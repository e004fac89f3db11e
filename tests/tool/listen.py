"""Servers that tests write themselves: what accepts, a thread for every connection, what
reads a request and what passes bytes on."""

import contextlib
import re
import socket
import ssl
import threading

import harness


class Listener:
    """Listens on the loopback; serve(client) is run in a thread for every connection."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.url = "https://localhost:%d" % self.port
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        raise NotImplementedError

    def close(self):
        self.server.close()


class TlsListener(Listener):
    """The same with TLS: talk(connection) is run, and may fail as the peer likes."""

    def __init__(self, certificate="ec", suite=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain = "%s/%s" % (harness.args.certs, certificate)
        self.context.load_cert_chain(chain + "-chain.pem", chain + "-key.pem")
        if suite is not None:
            self.context.set_ciphers(suite)
        super().__init__()

    def serve(self, client):
        with contextlib.suppress(OSError), self.context.wrap_socket(client, server_side=True) as connection:
            self.talk(connection)

    def talk(self, connection):
        raise NotImplementedError


class Requests:
    """The requests of one connection, each as its head and its body."""

    def __init__(self, connection):
        self.connection, self.data = connection, b""

    def more(self):
        piece = self.connection.recv(65536)
        self.data += piece
        return piece

    def head(self):
        """None: the client has gone."""
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                return None
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return head

    def __iter__(self):
        while (head := self.head()) is not None:
            length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
            while len(self.data) < length and self.more():
                pass
            body, self.data = self.data[:length], self.data[length:]
            yield head, body


def copy(source, target):
    """Passes on what comes until it ends, and ends the other side then."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for s in (source, target):
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)
