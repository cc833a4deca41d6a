"""`traceparent` and `tracestate`: the rules of W3C Trace Context."""

from __future__ import annotations

import httpx
import pytest

from service.telemetry.trace_context import TraceContext, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def headers(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs]


def test_a_valid_parent_is_read_with_its_state() -> None:
    found = parse(headers(("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b@c=2")))
    assert found == TraceContext(TRACE, SPAN, sampled=True, state="a=1,b@c=2")
    assert found.header == PARENT


@pytest.mark.parametrize(
    ("parent", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-holds", True),
    ],
)
def test_flags_and_later_versions_are_read(parent: str, sampled: bool) -> None:
    assert parse(headers(("traceparent", parent))) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"{PARENT},{PARENT}",
        f"00-{TRACE}-{SPAN}-0\xff",
    ],
)
def test_an_invalid_parent_is_ignored(parent: str) -> None:
    assert parse(headers(("traceparent", parent), ("tracestate", "a=1"))) is None


def test_a_repeated_parent_is_ignored() -> None:
    assert parse(headers(("traceparent", PARENT), ("traceparent", PARENT))) is None
    assert parse(headers(("tracestate", "a=1"))) is None


@pytest.mark.anyio
async def test_the_response_names_the_callers_trace(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/models", headers={"traceparent": PARENT})
    version, trace, span, flags = response.headers["traceresponse"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "00"), "no span is recorded without an endpoint for traces"
    assert len(span) == 16
    assert span != SPAN
    assert "traceresponse" not in (await client.get("/v1/models")).headers
    assert "traceresponse" not in (await client.get("/v1/models", headers={"traceparent": "x"})).headers
