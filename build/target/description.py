"""The files that describe a running stack for Compose: .env and compose.running.yaml (docs/decisions/0017)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from build.docker.compose import TEMPLATE, Compose
from build.docker.engine import DockerEngine
from build.model import compose_document as documents
from build.model import dotenv
from build.model.colours import Colour
from build.model.compose_document import DEFINITION_LABEL, Document
from build.settings import Settings

Images = Mapping[Colour, str]
PROJECT_LABEL, SERVICE_LABEL = "com.docker.compose.project", "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"  # "True" for a container of `docker compose run`
SOURCE = "x-source"  # hash of what compose.running.yaml was rendered from
CHANGING = {"COMPOSE_FILE", "COMPOSE_PROFILES", *(f"{colour.name}_IMAGE" for colour in Colour)}
ADDRESS = ("PUBLISH", "KEYS_FOLDER", "SUBNET_PREFIX")


class StackDescription:
    """Derive the description of a stack from the labels of its containers, and render compose.yaml for new ones."""

    def __init__(self, engine: DockerEngine, compose: Compose, settings: Settings) -> None:
        self._engine = engine
        self._compose = compose
        self._settings = settings

    @property
    def env(self) -> dict[str, str]:
        """The stored variables of .env."""
        path = self._compose.env_file
        return dotenv.parse(path.read_text()) if path.exists() else {}

    def store(self, values: Mapping[str, str], images: Images, planned: set[Colour]) -> None:
        """Write both files.

        Args:
            values: the variables of .env.
            planned: colours that start next, with the current settings.
        """
        document = self._derive(values, images, planned) if values["PROXY_IMAGE"] else None
        file = values["COMPOSE_FILE"] if document else TEMPLATE
        self._compose.store(dotenv.render({**values, "COMPOSE_FILE": file}), document)

    def _derive(self, values: Mapping[str, str], images: Images, planned: set[Colour]) -> Document:
        stored, source = self._compose.stored(), self._source(values)
        stale = stored is None or stored.get(SOURCE) != source
        rendered = self.render(values, images) if stale or planned else None
        moved = any(self.env.get(name, "") != values[name] for name in ADDRESS)
        document = documents.running(
            rendered,
            stored,
            self.definitions(),
            planned=_services(planned),
            kept=[] if moved else _services(set(Colour) - planned),
        )
        return {"name": values["COMPOSE_PROJECT_NAME"], SOURCE: source, **document}

    def _source(self, values: Mapping[str, str]) -> str:
        variables = json.dumps({name: value for name, value in values.items() if name not in CHANGING})
        return hashlib.sha256(f"{variables}{self._compose.template.read_text()}".encode()).hexdigest()

    def render(self, values: Mapping[str, str], images: Images) -> Document:
        """Return compose.yaml with the current settings; raise CommandFailedError if it is invalid."""
        return self._compose.render(self.variables(values, images))

    def variables(self, values: Mapping[str, str], images: Images) -> dict[str, str]:
        """Return the variables of compose.yaml with the current settings."""
        runtime = self._engine.gpu_runtime if self._settings.flavour == "cuda" else ""
        return dotenv.template_variables(values, images, runtime, self._settings.speech)

    def definitions(self) -> dict[str, str]:
        """Return the definition's label by service of each existing container; "" without one."""
        labels = self._engine.container_labels({PROJECT_LABEL: self._settings.project, ONE_OFF_LABEL: "False"})
        return {label[SERVICE_LABEL]: label.get(DEFINITION_LABEL, "") for label in labels if SERVICE_LABEL in label}

    def changes(self, service: str, values: Mapping[str, str], images: Images) -> list[str]:
        """Describe how the current settings would change the container of a service; [] if that is unknown."""
        label = self.definitions().get(service)
        if not label:
            return []
        old = documents.from_label(label)["services"][service]
        return documents.changes(old, self.render(values, images)["services"][service])


def _services(colours: set[Colour]) -> list[str]:
    return [slot.service for colour in colours for slot in colour.slots]
