#!/usr/bin/env python3
"""Runs a program on a terminal of its own, types, and prints what the terminal received.

    tests/cli/terminal.py [--size ROWSxCOLUMNS] [--after TEXT:ACTION]... -- PROGRAM ARGUMENT...

An action follows once TEXT was received since the last one: "key=q" types, "size=40x100" changes the size, "int" is Ctrl-C.
The exit code is the program's; 98 where the terminal was not given back as it was, 99 after 30 seconds.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def set_size(terminal, size):
    rows, columns = map(int, size.split("x"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def act(action, terminal):
    kind, _, value = action.partition("=")
    if kind == "key":
        os.write(terminal, value.encode())
    elif kind == "size":
        set_size(terminal, value)
    else:
        os.write(terminal, b"\x03")


def lead(slave, program):
    """Leads the terminal's session: it would be hung up with the program's end if that led it."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for stream in range(3):
        os.dup2(slave, stream)
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.execv(program[0], program)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255
    after = termios.tcgetattr(slave)
    if after != before:
        os.write(2, f"the terminal was {before}, and is {after}".encode())
        os._exit(98)
    os._exit(code)


def main():
    arguments, size, actions = sys.argv[1:], "24x80", []
    while arguments[0] != "--":
        name, value = arguments[0], arguments[1]
        arguments = arguments[2:]
        if name == "--size":
            size = value
        else:
            actions.append(value.rsplit(":", 1))
    master, slave = pty.openpty()
    set_size(master, size)
    child = os.fork()
    if child == 0:
        lead(slave, arguments[1:])
    received, seen, deadline = b"", 0, time.monotonic() + 30
    status = None
    while status is None or select.select([master], [], [], 0)[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            print(f"received so far: {received!r}", file=sys.stderr)
            sys.exit(99)
        if select.select([master], [], [], 0.05)[0]:
            received += os.read(master, 65536)
        if actions and actions[0][0].encode() in received[seen:]:
            seen = len(received)
            act(actions.pop(0)[1], master)
        if status is None:
            ended, code = os.waitpid(child, os.WNOHANG)
            status = code if ended else None
    sys.stdout.buffer.write(received)
    sys.stdout.flush()
    sys.exit(os.waitstatus_to_exitcode(status) & 255)


main()
