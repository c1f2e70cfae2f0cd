"""Tell the service manager how we are, if there is one (the protocol of sd_notify: one datagram to a named socket)."""

import os
import socket


def notify(state: str) -> None:
    """Send a line such as `READY=1`; without a service manager this does nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            pass  # A manager that went away needs no news.
