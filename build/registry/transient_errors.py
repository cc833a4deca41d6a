"""Classification of registry errors as transient or permanent, and parsing of Retry-After. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

TOO_EARLY_OR_MANY = frozenset({408, 425, 429})

# Words of a permanent refusal. They are checked first, because "unauthorized" may occur in a message about a retry.
LASTING = (
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
FINAL_TAG = ("immutab", "tag_invalid", "tag invalid", "imagetagalreadyexists", "cannot be overwritten", "protected tag")
PASSING = (
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


def status_passes(status: int) -> bool:
    """Whether an HTTP status is transient: 408, 425, 429 and 5xx except 501 and 505."""
    return status in TOO_EARLY_OR_MANY or (500 <= status < 600 and status not in (501, 505))


def tag_is_final(words: str) -> bool:
    """Whether a registry's message means that it does not move existing tags."""
    said = words.lower()
    return any(word in said for word in FINAL_TAG)


def words_pass(words: str) -> bool:
    """Whether an engine's message about a failed push or pull names a transient failure; unknown messages do not."""
    said = words.lower()
    return not any(word in said for word in (*LASTING, *FINAL_TAG)) and any(word in said for word in PASSING)


def asked_wait_s(retry_after: str, now: datetime) -> float | None:
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
