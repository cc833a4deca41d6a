"""Versions that exclude each other are refused by name; the table agrees with what the repository says elsewhere."""

import re
import shutil
from pathlib import Path

import pytest

from build.decisions.compatibility import Facts, check
from build.errors import IncompatibleError
from build.procedures import compatibility

REPOSITORY = Path(__file__).resolve().parents[3]
TABLE = compatibility.table()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what the check reads, to be changed."""
    shutil.copytree(REPOSITORY / "locks", tmp_path / "locks")
    for name in ("environment.yml", "Dockerfile.base"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("flavour", ["slim", "cuda"])
def test_the_repository_contradicts_itself_nowhere(flavour: str) -> None:
    compatibility.require(REPOSITORY, flavour)


def test_each_contradiction_is_named_with_its_remedy_and_all_come_at_once(root: Path) -> None:
    edit(root / "locks/torch.in", "torch==2.9.1", "--index-url https://download.pytorch.org/whl/cu118\ntorch==2.9.1")
    edit(root / "environment.yml", "python=3.11", "python=3.9")
    with pytest.raises(IncompatibleError) as refused:
        compatibility.require(root, "cuda")
    assert refused.value.exit_code == 25
    assert "torch 2.9.1 has no wheels for CUDA 11.8 (it has 12.6, 12.8, 13.0)" in refused.value.detail
    assert "Python 3.9 cannot run torch 2.9.1, which needs 3.10 to 3.14" in refused.value.detail
    assert "python=3.11.*" in refused.value.remedy
    assert "from PyPI" in refused.value.remedy


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("torch==2.9.1+cu118", "torch and its wheels"),
        ("flash-attn==2.8.3", "CUDA extension and toolkit"),
        ("flash_attn", "CUDA extension and toolkit"),
        ("onnxruntime-gpu==1.18.1", "onnxruntime-gpu and CUDA"),
    ],
)
def test_a_line_that_cannot_work_is_refused(root: Path, line: str, name: str) -> None:
    lock = root / "locks/cuda.in"
    lock.write_text(f"{lock.read_text()}{line}\n")
    with pytest.raises(IncompatibleError, match=name):
        compatibility.require(root, "cuda")


@pytest.mark.parametrize("line", ["onnxruntime-gpu==1.22.0", "torch==2.9.1+cu128", "# was: torch==2.9.1+cu118"])
def test_a_line_that_can_work_is_not(root: Path, line: str) -> None:
    lock = root / "locks/cuda.in"
    lock.write_text(f"{lock.read_text()}{line}\n")
    compatibility.require(root, "cuda")


@pytest.mark.parametrize(("python", "refused"), [("3.9", True), ("3.10", False), ("3.14", False), ("3.15", True)])
def test_python_s_range_is_compared_as_numbers(python: str, refused: bool) -> None:
    facts = Facts(python=python, torch="2.9.1", wheels="", base_cuda="11.8", packages={})
    assert bool(check(facts, TABLE)) == refused


def test_onnxruntime_gpu_without_any_cuda_would_fall_back_to_the_cpu() -> None:
    facts = Facts(python="3.11", torch="", wheels="", base_cuda="", packages={"onnxruntime-gpu": "1.22.0"})
    assert [each.name for each in check(facts, TABLE)] == ["onnxruntime-gpu and CUDA"]


def test_labels_say_what_the_image_needs() -> None:
    assert compatibility.facts_for_labels(REPOSITORY, "slim") == {}
    assert compatibility.facts_for_labels(REPOSITORY, "cuda") == {
        "ai.glm-tts.torch": "2.9.1",
        "ai.glm-tts.torch-cuda": "12.8",
        "ai.glm-tts.base-cuda": "11.8",
        "ai.glm-tts.minimum-driver": "525",
    }


def test_the_table_agrees_with_the_locks_the_dockerfiles_and_the_readme() -> None:
    pins = dict(re.findall(r"^(nvidia-\S+?)==(\S+)", (REPOSITORY / "locks/torch.txt").read_text(), re.MULTILINE))
    release = TABLE["torch"]["2.9"]
    assert pins["nvidia-cuda-runtime-cu12"].startswith(f"{release['pypi']}.")
    assert pins["nvidia-cudnn-cu12"] == release["cuda"][release["pypi"]]["cudnn"]
    assert "CUDA_VERSION=11.8." in (REPOSITORY / "Dockerfile.standin").read_text()
    assert 'NVIDIA_REQUIRE_CUDA="cuda>=12.0"' in (REPOSITORY / "Dockerfile.base").read_text()
    assert f"driver >= {TABLE['driver']['12']}" in (REPOSITORY / "README.md").read_text().replace("\n", " ")
