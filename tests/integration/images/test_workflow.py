"""publish.yml, step by step like a runner, with a registry with a password and a target behind a real sshd."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from batch.errors import FailedItemsError
from build.errors import StandinRefusedError
from harness.registry import PASSWORD, USER, Running, running_registry
from harness.ssh import SshTarget, ssh_target
from harness.stack import Stack
from harness.workflow import JobRun, Runner, resolve

REPLACED = ("actions/checkout", "actions/upload-artifact")


@pytest.fixture(scope="module")
def registry(stack: Stack) -> Iterator[Running]:
    with running_registry(project=stack.project, password=True) as registry:
        stack.registries.append(registry.address)
        yield registry


@pytest.fixture(scope="module")
def target(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshTarget]:
    with ssh_target(stack, tmp_path_factory.mktemp("sshd")) as target:
        yield target


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder with a short path, because the path of ssh's socket is limited."""
    with tempfile.TemporaryDirectory(prefix="ci-") as folder:
        yield Path(folder)


def runner(stack: Stack, scratch: Path, sha: str, tag: str = "") -> Runner:
    """A fresh machine with a checkout of the stack's clone and without the stack's own settings."""
    workspace = scratch / "workspace"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(stack.root), str(workspace)], check=True)
    subprocess.run(["git", "-C", str(workspace), "checkout", "--quiet", "--detach", sha], check=True)
    kind, name = ("tag", tag) if tag else ("branch", "main")
    github = {"SHA": sha, "REF": f"refs/{'tags' if tag else 'heads'}/{name}", "REF_TYPE": kind, "REF_NAME": name}
    facts = {**github, "ACTOR": "someone", "RUN_ID": "1", "RUN_ATTEMPT": "1"}
    own = {"COMPOSE_PROJECT_NAME", "PORT", "PUBLISH", "KEYS_FOLDER", "SUBNET_PREFIX"}
    environ = {key: value for key, value in stack.env.items() if key not in own}
    environ |= {f"GITHUB_{key}": value for key, value in facts.items()}
    return Runner(workspace, scratch / "runner", environ, REPLACED)


def contexts(stack: Stack, registry: Running, target: SshTarget, *, tag: bool = False) -> dict[str, Any]:
    return {
        "github": {"ref_type": "tag" if tag else "branch"},
        "inputs": {"accept-drift": ""},
        "vars": {
            "FLAVOUR": "",
            "APT_SNAPSHOT": "",
            "REGISTRY": f"{registry.address}/{'production' if tag else 'staging'}",
            "REGISTRY_USERNAME": USER,
            "TARGET": target.address,
            "COMPOSE_PROJECT_NAME": stack.project,
            "PORT": str(stack.port),
            "SUBNET_PREFIX": stack.env["SUBNET_PREFIX"],
            "BATCH_CONFIG": "batches/staging.yaml",
            "PUBLISH": "",
            "KEYS_FOLDER": "",
        },
        "secrets": {
            "REGISTRY_PASSWORD": PASSWORD,
            "SSH_KEY": target.key,
            "SSH_KNOWN_HOSTS": target.known_hosts,
            "TTS_API_KEY": "",
        },
    }


def live(stack: Stack) -> dict[str, str]:
    status = stack.status()
    release: dict[str, str] = status["colours"][status["live"]]["release"]
    return release


def speaking(stack: Stack) -> str:
    """Synthesise one sentence; return the release that served it."""
    body = {"model": "tts-1", "voice": "joe", "input": "Good.", "response_format": "wav"}
    answer = requests.post(f"{stack.url}/v1/audio/speech", json=body, timeout=60)
    assert answer.ok, answer.text
    return answer.headers["X-Release"]


def test_a_push_to_main_is_published_and_goes_live_through_ssh(
    stack: Stack, registry: Running, target: SshTarget, scratch: Path
) -> None:
    sha = stack.commit("published by CI")
    stack.releases.append(sha)
    workflow, known = stack.root / ".github/workflows/publish.yml", contexts(stack, registry, target)

    publish = runner(stack, scratch / "publish", sha)
    published = publish.run(workflow, "publish", known)
    assert not published.failed, published.failed
    assert published.environment == "staging"
    release = published.outputs["release"]
    assert release.startswith(f"{registry.address}/staging/glm-tts-slim@sha256:")
    assert {sha, "staging"} < set(registry.tags("staging/glm-tts-slim"))
    assert published.artifacts["build-records"]
    assert live(stack)["sha"] != sha, "only the deploy job touches the target"

    deploy = runner(stack, scratch / "deploy", sha)
    deployed = deploy.run(workflow, "deploy", {**known, "needs": {"publish": {"outputs": published.outputs}}})
    assert not deployed.failed, deployed.failed
    assert deployed.outputs == {"batch": "batches/staging.yaml"}
    assert live(stack) == {"sha": sha, "image": release}
    assert speaking(stack) == sha
    for job in (publish, deploy):
        remaining = {path.name for path in job.temp.iterdir()}
        assert remaining.isdisjoint({"ssh", "docker"}), "the job removes keys and passwords"


def test_the_batch_job_uses_the_live_release_and_stores_clips_and_failures(
    stack: Stack, registry: Running, target: SshTarget, scratch: Path
) -> None:
    sha = live(stack)["sha"]
    job = runner(stack, scratch, sha)
    folder = scratch / "workspace/batches"
    folder.mkdir()
    (folder / "staging.yaml").write_text("tasks: tasks.jsonl\nshard_size: 2\n")
    lines = [{"output_name": f"clip-{number}", "input_text": f"Clip {number}."} for number in range(3)]
    lines.append({"output_name": "chinese", "input_text": "早上好。"})
    (folder / "tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    known = contexts(stack, registry, target)
    needs = {"deploy": {"outputs": {"batch": known["vars"]["BATCH_CONFIG"]}}}

    ran = job.run(stack.root / ".github/workflows/publish.yml", "batch", {**known, "needs": needs})
    assert ran.environment == "staging"
    assert [(step.name, step.code) for step in ran.failed] == [("Batch", FailedItemsError.exit_code)], ran.failed
    assert ran.artifacts == {
        "batch-manifest": ["out/batch/failed.jsonl", "out/batch/manifest.jsonl"],
        "batch-clips": ["out/batch/shard-00001.zip", "out/batch/shard-00002.zip"],
    }
    out = scratch / "workspace/out/batch"
    entries = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sorted((entry["output_name"], entry["release"]) for entry in entries) == [
        (f"clip-{number}.wav", sha) for number in range(3)
    ]
    assert json.loads((out / "failed.jsonl").read_text())["output_name"] == "chinese.wav"
    assert not (job.temp / "ssh").exists(), "the job removes the key"


def test_without_a_batch_the_job_runs_no_step(
    stack: Stack, registry: Running, target: SshTarget, scratch: Path
) -> None:
    job = runner(stack, scratch, live(stack)["sha"])
    known = contexts(stack, registry, target) | {"needs": {"deploy": {"outputs": {"batch": ""}}}}
    assert job.run(stack.root / ".github/workflows/publish.yml", "batch", known) == JobRun()


def test_a_host_with_another_key_is_not_deployed_to(
    stack: Stack, registry: Running, target: SshTarget, scratch: Path
) -> None:
    known = contexts(stack, registry, target)
    known["secrets"]["SSH_KNOWN_HOSTS"] = target.known_hosts.replace("127.0.0.1", "127.0.0.2")
    before = live(stack)
    job = runner(stack, scratch, before["sha"])
    needs = {"publish": {"outputs": {"release": before["image"]}}}
    ran = job.run(stack.root / ".github/workflows/publish.yml", "deploy", {**known, "needs": needs})
    assert [step.name for step in ran.failed] == ["Connect to the target"]
    assert "Host key verification failed" in ran.failed[0].output
    assert [step.name for step in ran.steps][-1] == "Forget key and password"
    assert not (job.temp / "ssh").exists()
    assert live(stack) == before


def test_a_tag_is_production_and_stand_ins_are_refused_before_any_push(
    stack: Stack, registry: Running, target: SshTarget, scratch: Path
) -> None:
    sha, tag = live(stack)["sha"], "v2.0.0"
    git = ["git", "-C", str(stack.root), "tag"]
    subprocess.run([*git, tag, sha], check=True)
    try:
        job = runner(stack, scratch, sha, tag)
    finally:
        subprocess.run([*git, "-d", tag], check=True, capture_output=True)
    workflow = stack.root / ".github/workflows/publish.yml"
    ran = job.run(workflow, "publish", contexts(stack, registry, target, tag=True))
    assert ran.environment == "production"
    assert [(step.name, step.code) for step in ran.failed] == [
        ("Build, verify and push", StandinRefusedError.exit_code)
    ]
    assert "built on stand-ins for" in ran.failed[0].output
    assert not [name for name in registry.get("_catalog")["repositories"] if name.startswith("production/")]
    assert not (job.temp / "docker").exists()


@pytest.mark.parametrize(
    "text",
    ["${{ vars.NONE }}", "${{ toJSON(github) }}", "${{ github.ref_type != 'tag' }}", "${{ vars.X || }}", "${{ }}"],
)
def test_the_runner_refuses_unknown_expressions(text: str) -> None:
    with pytest.raises(ValueError, match=r"unsupported|known|missing"):
        resolve(text, {"vars": {"X": ""}, "github": {"ref_type": "tag"}})
