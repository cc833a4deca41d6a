"""Compatibility check of versions, and agreement of its table with the locks and Dockerfiles."""

import re
import shutil
from pathlib import Path

import pytest

from build.errors import IncompatibleError
from build.images import builder
from build.locks import compatibility_check, requirements
from build.locks.compatibility import DeclaredVersions, check
from build.locks.requirements import Package

REPOSITORY = Path(__file__).resolve().parents[4]
TABLE = compatibility_check.table()
OWN_IMAGE = "nvidia/cuda:11.8.0-base-ubuntu22.04"
RELEASES = "https://example.org/releases/download/v2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the files that the check reads."""
    shutil.copytree(REPOSITORY / "locks", tmp_path / "locks")
    for name in ("environment.yml", "Dockerfile.base"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("flavour", ["slim", "cuda"])
def test_the_versions_of_the_repository_are_compatible(flavour: str) -> None:
    compatibility_check.require(REPOSITORY, flavour)


def test_all_contradictions_are_reported_together_with_their_remedies(root: Path) -> None:
    edit(root / "locks/torch.in", "torch==2.9.1", "--index-url https://download.pytorch.org/whl/cu118\ntorch==2.9.1")
    edit(root / "environment.yml", "python=3.11", "python=3.9")
    with pytest.raises(IncompatibleError) as refused:
        compatibility_check.require(root, "cuda")
    assert refused.value.exit_code == 25
    assert "torch 2.9.1 has no wheels for CUDA 11.8 (it has 12.6, 12.8, 13.0)" in refused.value.detail
    assert "Python 3.9 cannot run torch 2.9.1, which needs 3.10 to 3.14" in refused.value.detail
    assert "python=3.11.*" in refused.value.remedy
    assert "from PyPI" in refused.value.remedy


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("torch==2.9.1+cu118", "torch and its wheels"),
        ("flash-attn==2.8.3", "CUDA extension and torch"),
        ("flash_attn", "CUDA extension and torch"),
        (f"flash-attn @ {RELEASES}/flash_attn-2.8.3-cp311-cp311-linux_x86_64.whl", "CUDA extension and torch"),
        ("xformers==0.0.33+cu126", "CUDA extension and torch"),
        ("onnxruntime-gpu==1.18.1", "onnxruntime-gpu and CUDA"),
    ],
)
def test_an_incompatible_requirement_is_refused(root: Path, line: str, name: str) -> None:
    lock = root / "locks/cuda.in"
    lock.write_text(f"{lock.read_text()}{line}\n")
    with pytest.raises(IncompatibleError, match=name):
        compatibility_check.require(root, "cuda")


@pytest.mark.parametrize(
    "line",
    [
        "onnxruntime-gpu==1.22.0",
        "torch==2.9.1+cu128",
        "# was: torch==2.9.1+cu118",
        "xformers==0.0.33.post2",
        "flash-attn==2.8.3+cu12torch2.9cxx11abiTRUE",
        "mamba_ssm==2.2.6+cu128",
        f"flash-attn @ {RELEASES}/flash_attn-2.8.3%2Bcu12torch2.9cxx11abiTRUE-cp311-cp311-linux_x86_64.whl#sha256=0",
        f"{RELEASES}/causal_conv1d-1.5.3+pt29cu128-cp311-cp311-linux_x86_64.whl",
        f"{RELEASES}/cu128/torch2.9/flash_attn-2.8.3-cp311-cp311-linux_x86_64.whl",
    ],
)
def test_a_compatible_requirement_passes(root: Path, line: str) -> None:
    lock = root / "locks/cuda.in"
    lock.write_text(f"{lock.read_text()}{line}\n")
    compatibility_check.require(root, "cuda")


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("cu11torch2.9cxx11abiTRUE", "flash-attn is a wheel for CUDA 11, but torch uses CUDA 12.8"),
        ("cu130torch2.9", "flash-attn is a wheel for CUDA 13.0, but torch uses CUDA 12.8"),
        ("cu126torch2.9", "flash-attn is a wheel for CUDA 12.6, but torch uses CUDA 12.8"),
        ("cu12torch2.8cxx11abiTRUE", "flash-attn is a wheel for torch 2.8, but torch is 2.9"),
        ("pt210cu128", "flash-attn is a wheel for torch 2.10, but torch is 2.9"),
    ],
)
@pytest.mark.parametrize("form", ["flash-attn==2.8.3+{}", "{}"])
def test_a_wheel_for_another_cuda_or_torch_is_refused_by_both(root: Path, tag: str, why: str, form: str) -> None:
    address = f"{RELEASES}/flash_attn-2.8.3%2B{tag}-cp311-cp311-linux_x86_64.whl"
    lock = root / "locks/cuda.in"
    lock.write_text(f"{lock.read_text()}{form.format(tag if '==' in form else address)}\n")
    with pytest.raises(IncompatibleError, match="CUDA extension and torch") as refused:
        compatibility_check.require(root, "cuda")
    assert refused.value.exit_code == 25
    assert f"{why}: it would not load" in refused.value.detail
    assert refused.value.remedy == "remove flash-attn, or use a wheel that names cu12 or cu128, and torch2.9"


def test_an_extension_with_the_toolkit_of_torchs_cuda_may_compile(root: Path) -> None:
    edit(root / "Dockerfile.base", OWN_IMAGE, "nvidia/cuda:12.8.1-base-ubuntu22.04")
    (root / "locks/cuda.in").write_text("flash-attn==2.8.3\n")
    compatibility_check.require(root, "cuda")


def test_another_torch_changes_the_compatible_versions(root: Path) -> None:
    for path in (root / "locks/torch.in", root / "locks/torch.txt", root / "locks/cuda.txt"):
        edit(path, "torch==2.9.1", "torch==2.8.0")
    lock = root / "locks/cuda.in"
    lock.write_text("flash-attn==2.8.3+cu12torch2.8cxx11abiTRUE\n")
    compatibility_check.require(root, "cuda")
    assert compatibility_check.facts_for_labels(root, "cuda")["ai.glm-tts.torch-cuda"] == "12.8"
    lock.write_text("torch==2.8.0+cu130\n")
    with pytest.raises(IncompatibleError) as refused:
        compatibility_check.require(root, "cuda")
    assert "torch 2.8.0 has no wheels for CUDA 13.0 (it has 12.6, 12.8, 12.9)" in refused.value.detail


@pytest.mark.parametrize("image", ["nvidia/cuda:11.7.1-base-ubuntu22.04", "ubuntu:22.04"])
def test_an_unknown_base_image_is_refused_by_name(root: Path, image: str) -> None:
    edit(root / "Dockerfile.base", f"ARG CUDA_IMAGE={OWN_IMAGE}", f"ARG CUDA_IMAGE={image}")
    with pytest.raises(IncompatibleError, match="base image unknown") as refused:
        compatibility_check.require(root, "cuda")
    assert refused.value.exit_code == 25
    assert f"CUDA_IMAGE in Dockerfile.base is {image}, which is not in the compatibility table" in refused.value.detail
    assert OWN_IMAGE in refused.value.detail
    assert refused.value.remedy.startswith("use one of those, or add it to build/data/compatibility.toml")
    compatibility_check.require(root, "slim")


def test_a_base_image_is_known_with_its_digest_too(root: Path) -> None:
    edit(root / "Dockerfile.base", f"ARG CUDA_IMAGE={OWN_IMAGE}", f"ARG CUDA_IMAGE={OWN_IMAGE}@sha256:{'0' * 64}")
    compatibility_check.require(root, "cuda")


def test_an_image_that_starts_on_a_driver_too_old_for_torch_is_refused(root: Path) -> None:
    edit(root / "Dockerfile.base", 'NVIDIA_REQUIRE_CUDA="cuda>=12.0" ', "")
    with pytest.raises(IncompatibleError, match="driver of the base image") as refused:
        compatibility_check.require(root, "cuda")
    assert "starts on driver 470; torch 2.9.1 (CUDA 12.8) finds no GPU before 525" in refused.value.detail
    assert refused.value.remedy == 'set NVIDIA_REQUIRE_CUDA="cuda>=12.0" in Dockerfile.base'


def test_an_older_onnxruntime_gpu_passes_on_a_base_with_its_cudnn(root: Path) -> None:
    lock = root / "locks/cuda.in"
    lock.write_text("onnxruntime-gpu==1.18.1\n")
    with pytest.raises(IncompatibleError) as refused:
        compatibility_check.require(root, "cuda")
    assert "the image has CUDA 12.8 with cuDNN 9.10.2.21 and CUDA 11.8 with no cuDNN" in refused.value.detail
    edit(root / "Dockerfile.base", OWN_IMAGE, "nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04")
    compatibility_check.require(root, "cuda")


@pytest.mark.parametrize(("python", "refused"), [("3.9", True), ("3.10", False), ("3.14", False), ("3.15", True)])
def test_python_s_range_is_compared_as_numbers(python: str, refused: bool) -> None:
    assert bool(check(DeclaredVersions(python=python, torch="2.9.1"), TABLE)) == refused


def test_onnxruntime_gpu_without_any_cuda_would_fall_back_to_the_cpu() -> None:
    facts = DeclaredVersions(python="3.11", packages={"onnxruntime-gpu": Package("1.22.0")})
    assert [contradiction.name for contradiction in check(facts, TABLE)] == ["onnxruntime-gpu and CUDA"]


def test_requirements_are_parsed_into_packages_and_index() -> None:
    packages, index = requirements.parse(
        "--extra-index-url https://download.example/whl/cu126\n-r other.in\nA_b.c[x,y] >= 1  # cu118\n"
        "torch==2.9.1+cu126 ; python_version > '3'\nd==1.0 \\\n    --hash=sha256:0\ne\ne==2\ne<3\n"
    )
    assert index == "12.6"
    assert packages == {
        "a-b-c": Package(),
        "torch": Package("2.9.1", cuda="12.6"),
        "d": Package("1.0"),
        "e": Package("2"),
    }


def test_labels_contain_the_versions_that_the_image_needs() -> None:
    assert compatibility_check.facts_for_labels(REPOSITORY, "slim") == {}
    assert compatibility_check.facts_for_labels(REPOSITORY, "cuda") == {
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
    assert 'NVIDIA_REQUIRE_CUDA="cuda>=12.0"' in (REPOSITORY / "Dockerfile.base").read_text()
    assert f"driver >= {TABLE['driver']['12']}" in (REPOSITORY / "docs/guides/images.md").read_text().replace("\n", " ")


def test_the_table_knows_the_base_image_that_each_file_names_and_its_stand_in() -> None:
    genuine, standin = builder.CUDA_IMAGES
    assert genuine == OWN_IMAGE
    assert f"ARG CUDA_IMAGE={genuine}\n" in (REPOSITORY / "Dockerfile.base").read_text()
    assert f"CUDA_IMAGE={genuine}\nCUDA_STANDIN={standin}\n" in (REPOSITORY / "scripts/lib/images.sh").read_text()
    assert TABLE["base"][standin]["cuda"] == TABLE["base"][genuine]["cuda"]
    dockerfile = (REPOSITORY / "Dockerfile.standin").read_text()
    assert f"CUDA_VERSION={TABLE['base'][standin]['cuda']}." in dockerfile
    assert f'NVIDIA_REQUIRE_CUDA="cuda>={TABLE["base"][standin]["cuda"]}"' in dockerfile


def test_the_table_agrees_with_itself() -> None:
    for release in TABLE["torch"].values():
        assert release["pypi"] in release["cuda"]
        assert all(cuda["cudnn"] for cuda in release["cuda"].values())
    for name, row in TABLE["base"].items():
        assert f":{row['cuda']}." in name, "the tag names the CUDA"
        assert ("-cudnn" in name) == ("cudnn" in row)
        assert row["driver"] >= TABLE["driver"]["11"]
    majors = {cuda.partition(".")[0] for release in TABLE["torch"].values() for cuda in release["cuda"]}
    assert majors <= TABLE["driver"].keys()
    assert set(TABLE["extensions"]["on_pypi"]) <= set(TABLE["extensions"]["names"])
