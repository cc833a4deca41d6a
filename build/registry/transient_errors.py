"""Classification of registry errors as transient or permanent, and parsing of Retry-After. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

TOO_EARLY_OR_MANY = frozenset({408, 425, 429})

# Parts of the message of a permanent refusal. They are checked first, because "unauthorized" may occur in a message
# about a retry.
PERMANENT = (
    "denied",
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "name unknown",
    "name invalid",
    "manifest invalid",
    "manifest unknown",
    "invalid reference",
    "tag does not exist",
    "certificate",
    "server gave http response to https client",
)
# ECR: TAG_INVALID, ImageTagAlreadyExistsException; Harbor: "configured as immutable"; Artifact Registry: "tag
# immutability"; GitLab: "protected tag".
IMMUTABLE_TAG = (
    "immutab",
    "tag_invalid",
    "tag invalid",
    "imagetagalreadyexists",
    "cannot be overwritten",
    "protected tag",
)
TRANSIENT = (
    "timeout",
    "timed out",
    "deadline exceeded",
    "connection reset",
    "connection refused",
    "broken pipe",
    "eof",
    "too many requests",
    "toomanyrequests",
    "temporary failure in name resolution",
    *(f"status: {code}" for code in range(500, 505)),
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway timeout",
)


def is_transient_status(status: int) -> bool:
    """Whether an HTTP status is transient: 408, 425, 429 and 5xx except 501 and 505."""
    return status in TOO_EARLY_OR_MANY or (500 <= status < 600 and status not in (501, 505))


def is_immutable_tag_message(message: str) -> bool:
    """Whether a registry's message means that it does not move existing tags."""
    text = message.lower()
    return any(part in text for part in IMMUTABLE_TAG)


def is_transient_message(message: str) -> bool:
    """Whether an engine's message about a failed push or pull names a transient failure; unknown messages do not."""
    text = message.lower()
    return not any(part in text for part in (*PERMANENT, *IMMUTABLE_TAG)) and any(part in text for part in TRANSIENT)


def retry_after_s(retry_after: str, now: datetime) -> float | None:
    """Seconds requested by a Retry-After header (a number or an HTTP date); None if it is not usable.

    Args:
        now: current time with time zone.
    """
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        due = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (due - now).total_seconds())
