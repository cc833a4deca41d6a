"""For clients of services without TLS: reading the machine's certificates takes each 50 ms of processor time."""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no certificate at all."""
