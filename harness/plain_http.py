"""A TLS context for clients of services without TLS: loading the machine's certificates takes 50 ms of CPU time."""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no certificate at all."""
