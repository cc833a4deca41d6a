"""Whether a registry's refusal can pass by itself, and how long the registry asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime

TOO_EARLY_OR_MANY = frozenset({408, 425, 429})

# What is said of a lasting refusal. Looked for first: "unauthorized" may come wrapped in words about a retry.
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
    """True for an HTTP status that another attempt may not meet: 408, 425, 429 and 5xx other than 501 and 505."""
    return status in TOO_EARLY_OR_MANY or (500 <= status < 600 and status not in (501, 505))


def tag_is_final(words: str) -> bool:
    """True when a registry says that it does not move a tag that exists."""
    said = words.lower()
    return any(word in said for word in FINAL_TAG)


def words_pass(words: str) -> bool:
    """True when an engine's words for a failed push or pull name something that can pass; unknown words do not."""
    said = words.lower()
    return not any(word in said for word in (*LASTING, *FINAL_TAG)) and any(word in said for word in PASSING)


def asked_wait_s(retry_after: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date), None where it says nothing usable.

    Args:
        now: the present, with its time zone.
    """
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        due = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (due - now).total_seconds())
