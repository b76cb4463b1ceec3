#!/usr/bin/env python3
"""Stands between a client and an HTTP server on the loopback, passes every byte on, and counts what the client sends.

    counting_proxy.py PORT_OF_THE_SERVER LOG

Prints the port that it listens at. LOG gets a line for each request: method, target, length of the body, how much of it
came. It can kill the client in the middle of things, and takes commands at its standard input, answering each with a line:

    kill_at TOTAL PIDFILE       SIGKILL to the process in the file, as soon as the client has sent TOTAL bytes in all
    kill_on METHOD WORD PIDFILE  the same, when the answer to such a request is there, which the client does not get then;
                                WORD is what the target's query begins with
    total                       waits until every connection has ended; bytes sent in all, requests' headers included
    killed                      how many were killed

It ends with its standard input."""

import os
import signal
import socket
import sys
import threading

CHUNK = 1 << 16


class Shared:
    def __init__(self, server_port, log):
        self.server_port = server_port
        self.log = log
        self.changed = threading.Condition()
        self.total = 0
        self.killed = 0
        self.open = 0
        self.kill_at = None  # (total, pidfile)
        self.kill_on = None  # (method, word, pidfile)

    def kill(self, pidfile):
        with open(pidfile) as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.killed += 1

    def sent(self, count):
        with self.changed:
            self.total += count
            if self.kill_at and self.total >= self.kill_at[0]:
                self.kill(self.kill_at[1])
                self.kill_at = None

    def answered(self, request):
        """Whether the client was killed because of it."""
        with self.changed:
            wanted = self.kill_on
            if not wanted or request[0] != wanted[0] or not request[1].partition("?")[2].startswith(wanted[1]):
                return False
            self.kill(wanted[2])
            self.kill_on = None
            return True

    def note(self, method, target, length, arrived):
        with self.changed:
            self.log.write(f"{method} {target} {length} {arrived}\n")
            self.log.flush()


class Connection:
    """One of the client's, and the one to the server that belongs to it. One request after the other, as HTTP/1.1 without
    pipelining has it."""

    def __init__(self, shared, client):
        self.shared = shared
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", shared.server_port))
        self.header = b""
        self.request = None  # (method, target, length)
        self.arrived = 0

    def run(self):
        answers = threading.Thread(target=self.pass_answers)
        answers.start()
        try:
            while data := receive(self.client):
                self.shared.sent(len(data))
                self.read(data)
                self.server.sendall(data)
        except OSError:
            pass  # the server ended it
        if self.request and self.arrived < self.request[2]:
            self.shared.note(*self.request, self.arrived)
        try:
            self.server.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answers.join()
        self.client.close()
        self.server.close()
        with self.shared.changed:
            self.shared.open -= 1
            self.shared.changed.notify_all()

    def read(self, data):
        """Follows requests as they go by."""
        while data:
            if self.request and self.arrived < self.request[2]:
                taken = min(len(data), self.request[2] - self.arrived)
                self.arrived += taken
                data = data[taken:]
            else:
                self.header += data
                end = self.header.find(b"\r\n\r\n")
                if end < 0:
                    return
                lines = self.header[:end].decode("latin-1").split("\r\n")
                data = self.header[end + 4 :]
                self.header = b""
                method, target, _ = lines[0].split(" ")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
                if "transfer-encoding" in fields:
                    sys.exit("counting_proxy.py: a body without a length")
                self.request = (method, target, int(fields.get("content-length", 0)))
                self.arrived = 0
            if self.arrived == self.request[2]:
                self.shared.note(*self.request, self.arrived)

    def pass_answers(self):
        alive = True
        while data := receive(self.server):
            if alive and self.request and self.shared.answered(self.request):
                alive = False
            try:
                if alive:
                    self.client.sendall(data)
            except OSError:
                alive = False  # killed: what the server still says is for nobody
        try:
            self.client.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def receive(connection):
    try:
        return connection.recv(CHUNK)
    except OSError:
        return b""


def accept(shared, listener):
    while True:
        client, _ = listener.accept()
        with shared.changed:
            shared.open += 1
        threading.Thread(target=Connection(shared, client).run, daemon=True).start()


def answer(shared, words):
    with shared.changed:
        if words[0] == "kill_at":
            shared.kill_at = (int(words[1]), words[2])
            return "armed"
        if words[0] == "kill_on":
            shared.kill_on = (words[1], words[2], words[3])
            return "armed"
        if words[0] == "killed":
            return str(shared.killed)
        if words[0] == "total":
            if not shared.changed.wait_for(lambda: shared.open == 0, timeout=60):
                sys.exit("counting_proxy.py: a connection does not end")
            return str(shared.total)
    return sys.exit(f"counting_proxy.py: no such command: {words}")


def main():
    server_port, log = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0))
    with open(log, "w") as file:
        shared = Shared(int(server_port), file)
        threading.Thread(target=accept, args=(shared, listener), daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            print(answer(shared, line.split()), flush=True)


main()
