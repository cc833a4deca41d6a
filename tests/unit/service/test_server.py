"""The listening socket."""

from __future__ import annotations

import dataclasses
import socket

from service.server import listener_of
from service.settings import Settings


def test_connections_have_nodelay(settings: Settings) -> None:
    anywhere = dataclasses.replace(settings, host="127.0.0.1", port=0)
    with listener_of(anywhere) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
