"""uvicorn's HTTP protocol with small reads, so that no read keeps the event loop long.

The parser is Python and handles all that one read returns at once. A body in chunks of one byte would stop the loop for
0.4 s with asyncio's reads of 256 KB.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

READ_BYTES = 2048


class SmallReads(H11Protocol):
    """HTTP/1.1 over a transport that reads at most READ_BYTES at a time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the size of a read, which asyncio's transports over sockets take from this attribute."""
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]
        super().connection_made(transport)
