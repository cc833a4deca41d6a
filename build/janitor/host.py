"""Survey of the engine: the project's images, and the containers, journals and settings that need them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docker.models.images import Image

from build.agent_client import AgentClient
from build.docker import imagestore
from build.docker.engine import DockerEngine, convert_errors
from build.errors import RetentionRefusedError, StateCorruptError
from build.janitor import retention
from build.janitor.retention import Location, Role, StoredItem
from build.model import dotenv
from build.model.colours import Colour
from build.model.labels import (
    CHANNEL_REPOSITORY,
    FLAVOUR_LABEL,
    PROXY_REPOSITORY,
    RELEASE_LABEL,
    app_repository,
    base_repository,
)
from build.model.timestamps import unix
from build.settings import Settings
from build.state import history
from build.state.history import Cutover
from build.state.journal import Journal
from build.target.colour_containers import ColourContainers

FLAVOURS = ("slim", "cuda")
ROLES = {
    **{app_repository(flavour): Role.APP for flavour in FLAVOURS},
    **{base_repository(flavour): Role.BASE for flavour in FLAVOURS},
    PROXY_REPOSITORY: Role.PROXY,
    CHANNEL_REPOSITORY: Role.CHANNEL,
}
OCI = "org.opencontainers.image."
PROJECT, VOLUME = "com.docker.compose.project", "com.docker.compose.volume=cutover-state"


@dataclass(frozen=True)
class Scope:
    """The names and projects of an engine that this janitor handles.

    Attributes:
        prefix: handle only repositories under it. If empty: the project's own names, bare or under any registry host.
        project: returns False for a Compose project whose journal to ignore.
        build_cache: handle the engine's build cache, which all projects share.
    """

    prefix: str = ""
    project: Callable[[str], bool] = lambda _name: True
    build_cache: bool = True

    def role(self, repository: str) -> Role | None:
        """Role of the images in a repository; None if the repository does not belong to the project."""
        if self.prefix:
            return ROLES.get(repository.removeprefix(f"{self.prefix}/")) if repository.startswith(self.prefix) else None
        if repository in ROLES:
            return ROLES[repository]
        registry = repository.partition("/")[0]
        if "." not in registry and ":" not in registry and registry != "localhost":
            return None  # another user's repository with this name on Docker Hub
        return next((role for name, role in ROLES.items() if repository.endswith(f"/{name}")), None)


@dataclass
class Needs:
    """What the survey found in use.

    Attributes:
        needed: image reference or ID -> what needs it.
        served: names of images that served according to the journals.
    """

    needed: dict[str, str] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)


class HostSurvey:
    def __init__(self, engine: DockerEngine, settings: Settings, scope: Scope) -> None:
        self._engine = engine
        self._settings = settings
        self._scope = scope

    def images(self, verified: set[str]) -> list[StoredItem]:
        """List the project's images with the bytes that their removal frees."""
        with convert_errors():
            listed = self._engine.client.api.df()["Images"] or []
        items = []
        for summary in listed:
            names = self._names(summary)
            labels = summary.get("Labels") or {}
            unnamed = not summary.get("RepoTags") and not summary.get("RepoDigests") and not self._scope.prefix
            orphan = unnamed and (RELEASE_LABEL in labels or FLAVOUR_LABEL in labels)
            if (names or orphan) and (image := self._engine.image(summary["Id"])):
                items.append(self._item(image, summary, names, verified))
        return sorted(items, key=lambda item: (item.repository, -item.created))

    def cache_bytes(self) -> int:
        """Size (bytes) of the build cache without records shared with images."""
        with convert_errors():
            records: list[dict[str, Any]] = self._engine.client.api.df().get("BuildCache") or []
        return sum(int(record["Size"]) for record in records if not record["Shared"])

    def prune_cache(self, keep_bytes: int) -> int:
        """Remove the least used build cache records until `keep_bytes` remain; return the bytes freed."""
        with convert_errors():
            return int(self._engine.client.api.prune_builds(keep_storage=keep_bytes, all=True)["SpaceReclaimed"] or 0)

    def needs(self) -> Needs:
        """Collect the images needed by containers in any state, by .env, and by the journal of every project.

        Raises:
            RetentionRefusedError: a journal exists but cannot be read, so its needs are unknown.
            StateCorruptError: a journal is not valid.
        """
        found = Needs()
        with convert_errors():
            containers = self._engine.client.api.containers(all=True)
        for container in containers:
            name = (container.get("Names") or [container["Id"][:12]])[0].lstrip("/")
            for reference in (container["ImageID"], container["Image"]):
                found.needed.setdefault(reference, f"container {name}")
        env_file = self._settings.root / ".env"
        if env_file.exists():
            for key, value in dotenv.parse(env_file.read_text()).items():
                if key.endswith("_IMAGE"):
                    self._need(found, value, f"{key} in .env")
        for project in self._projects():
            cutovers = self._history(project)
            lives = [ColourContainers(self._engine, project, colour).release() for colour in Colour]
            for name, why in retention.journaled(cutovers, lives).items():
                self._need(found, name, f"{project}: {why}")
            found.served |= retention.served(cutovers)
        return found

    def _need(self, found: Needs, reference: str, why: str) -> None:
        """Mark a reference as needed, and also the ID of the image that it currently names."""
        found.needed.setdefault(reference, why)
        if image := self._engine.image(reference):
            found.needed.setdefault(str(image.id), why)

    def _projects(self) -> list[str]:
        """List the Compose projects with a journal on this engine."""
        with convert_errors():
            volumes = self._engine.client.volumes.list(filters={"label": VOLUME})
        names = {str((volume.attrs.get("Labels") or {}).get(PROJECT, "")) for volume in volumes}
        return sorted(name for name in names if name and self._scope.project(name))

    def _history(self, project: str) -> list[Cutover]:
        container = self._engine.container(f"{project}-agent-1")
        if container is None or container.status != "running":
            raise RetentionRefusedError(
                f"removed nothing: the agent that keeps the journal of {project} (volume {project}_cutover-state) "
                f"does not run, so it is unknown which images {project} needs",
                remedy=f"run `make up` in its clone; if the stack is gone, `docker volume rm {project}_cutover-state`",
            )
        try:
            return history.read(Journal(AgentClient(f"{project}-agent-1")).read())
        except (ValueError, KeyError) as error:
            raise StateCorruptError(f"the journal of {project} is invalid: {error}") from None

    def _names(self, summary: dict[str, Any]) -> tuple[str, ...]:
        tags = [name for name in imagestore.tags(summary.get("RepoTags") or []) if not name.startswith("<none>")]
        digests = [name for name in summary.get("RepoDigests") or [] if not name.startswith("<none>")]
        ours = [name for name in [*tags, *digests] if self._scope.role(repository(name))]
        return tuple(ours)

    def _item(self, image: Image, summary: dict[str, Any], names: tuple[str, ...], verified: set[str]) -> StoredItem:
        labels = image.labels
        digests = {name.partition("@")[2] for name in image.attrs.get("RepoDigests") or []}
        built = unix(image.attrs["Created"])
        tagged = unix((image.attrs.get("Metadata") or {}).get("LastTagTime", ""))
        role = self._scope.role(repository(names[0])) if names else None
        return StoredItem(
            Location.HOST,
            str(image.id),
            size=imagestore.freed_bytes(image.attrs, summary),
            created=unix(labels.get(OCI + "created", "")) or built,
            modified=max(built, tagged),
            role=role or (Role.APP if RELEASE_LABEL in labels else Role.BASE),
            names=names,
            release=labels.get(RELEASE_LABEL, ""),
            verified=bool(({str(image.id), *names, *digests}) & verified),
            parents=tuple(filter(None, (labels.get(OCI + "base.name"), labels.get(OCI + "base.digest")))),
            layers=tuple((image.attrs.get("RootFS") or {}).get("Layers") or ()),
        )


def repository(name: str) -> str:
    """Repository part of `repository:tag` or `repository@digest`."""
    return name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
