"""Ports of this machine that nobody listens on, at any of its addresses."""

import socket
from contextlib import ExitStack


def free_port() -> int:
    """One."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many at once, no two of them the same."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]
