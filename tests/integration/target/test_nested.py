"""The nested engine of tests and benchmarks: empty, separate from the host's, and crashable."""

from __future__ import annotations

import docker

from harness import images
from harness.nested import nested_engine

DOCKERFILE = "FROM {os_image}\nRUN apt-get update -q && apt-get install -y -q --no-install-recommends tini\n"


def test_a_nested_engine_runs_builds_and_survives_a_crash() -> None:
    host = docker.from_env()
    os_image = images.os_image()
    with nested_engine("--live-restore") as nested:
        assert nested.client.images.list() == []
        nested.load(os_image)
        container = nested.client.containers.run(os_image, ["sleep", "infinity"], name="within", detach=True, init=True)
        assert not host.containers.list(all=True, filters={"name": "^within$"})
        nested.restart()
        container.reload()
        assert container.status == "running"
        file = nested.folder / "Dockerfile"
        file.write_text(DOCKERFILE.format(os_image=os_image))
        nested.run("docker", "buildx", "build", "--quiet", "--tag", "built", "--file", str(file), str(nested.folder))
        assert nested.client.containers.run("built", ["tini", "--version"], remove=True).startswith(b"tini version")
        mounts = host.containers.get(nested.container).attrs["Mounts"]
    volume = next(mount["Name"] for mount in mounts if mount["Type"] == "volume")
    assert volume not in {volume.name for volume in host.volumes.list()}
    host.close()
