"""Runs a program on a terminal of its own, types keys into it, and prints all that the terminal showed.

usage: terminal.py KEYS PROGRAM ARGUMENT...
KEYS may hold Python's escapes. They are typed one after the other, each line once the program shows a prompt.
"""

import fcntl
import os
import pty
import struct
import sys
import termios

PROMPT = b"> \x1b[K"


def main():
    keys = sys.argv[1].encode().decode("unicode_escape").encode()
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[2], sys.argv[2:])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    shown = b""
    lines = [line + b"\r" for line in keys.split(b"\r") if line]
    if not keys.endswith(b"\r"):
        lines[-1] = lines[-1][:-1]
    waited = 0
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # the program is gone
            break
        if not read:
            break
        shown += read
        while lines and shown.count(PROMPT) > waited:
            waited = shown.count(PROMPT)
            os.write(terminal, lines.pop(0))
    _, status = os.waitpid(child, 0)
    sys.stdout.write(shown.decode(errors="replace"))
    sys.exit(os.waitstatus_to_exitcode(status))


main()
