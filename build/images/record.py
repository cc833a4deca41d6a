"""Record of one build: inputs, images, origin, tools and verification results.

build/data/build-record.schema.json is generated from this model with `schema()`, for readers in other languages. A test
compares the two.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from build.model.release import Release, short_sha

Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Hex256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MaybeSha256 = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Base(_Part):
    """The base image: reference used by the build, image ID, and manifest digest (empty if it was not pushed)."""

    reference: str
    image_id: Sha256
    digest: MaybeSha256


class DriftedPackage(_Part):
    """A Debian package of the base that differs from the apt lock; an empty version means that it is absent."""

    package: str
    locked: str
    found: str
    security: bool


class Verification(_Part):
    """Verification result of one image: base, app or proxy."""

    part: Literal["base", "app", "proxy"]
    passed: int = Field(ge=0)
    failed: tuple[str, ...]
    not_verified: tuple[str, ...]
    drift: tuple[DriftedPackage, ...] = ()


class Record(_Part):
    """One build. Times are UTC in ISO 8601, sizes in bytes, durations in seconds by phase."""

    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}(-dirty)?$")
    built_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    dirty: bool
    ref: str
    environment: Literal["production", "staging", "local"]
    version: str
    triggered_by: str
    run_id: str
    host: str
    flavour: Literal["slim", "cuda"]
    tools: dict[str, str]
    locks: dict[str, Hex256]
    standins: tuple[str, ...]
    base: Base
    reference: str
    image_id: Sha256
    manifest_digest: MaybeSha256
    pushed: str
    size_bytes: int = Field(ge=0)
    seconds: dict[str, Annotated[float, Field(ge=0)]]
    verification: tuple[Verification, ...]
    accepted_drift: bool = False

    @property
    def release(self) -> Release:
        """The release that this build made."""
        return Release(f"{self.sha}-dirty" if self.dirty else self.sha, self.pushed or self.image_id)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a build record."""
    document: dict[str, Any] = Record.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def identifier(built_at: str, release: str) -> str:
    """Record ID from build time and release; IDs sort by time."""
    return f"{built_at.replace('-', '').replace(':', '')}-{short_sha(release)}"
