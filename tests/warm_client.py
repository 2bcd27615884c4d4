"""Runs a program in a fork of a warm interpreter, for scripts that start it in place of Python.

`python -IS warm_client.py SOCKET ARGUMENTS…` does what `python ARGUMENTS…` would, and starts at
once, since it imports nothing. It does not pass signals on.
"""

import _socket
import marshal
import os
import sys


def main() -> None:
    """End as the program does."""
    os.umask(umask := os.umask(0))
    command = [sys.executable, *sys.argv[2:]]
    order = marshal.dumps((command, os.getcwd(), dict(os.environ), umask))
    told, tell = os.pipe()
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, tell))
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect("\0" + sys.argv[1])
    server.sendmsg(
        [len(order).to_bytes(4, "big")],
        [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)],
    )
    server.sendall(order)
    pid = int.from_bytes(server.recv(4), "big")
    server.close()
    os.close(tell)
    if not pid:
        os.execv(sys.executable, command)
    for stream in (0, 1, 2):
        os.close(stream)
    code = os.waitstatus_to_exitcode(int.from_bytes(os.read(told, 4), "big"))
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
