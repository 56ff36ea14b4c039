"""Idempotency keys: UUIDs of version 7 (RFC 9562)."""

from __future__ import annotations

import os
import time
import uuid


def fresh_key() -> str:
    """Returns a new key."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    number = (milliseconds << 80) | (0x7 << 76) | ((random >> 64 & 0xFFF) << 64) | (0b10 << 62) | (random & (1 << 62) - 1)
    return str(uuid.UUID(int=number))
