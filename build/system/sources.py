"""Source files of the images with git's bytes and modes, independent of the user's umask and git settings.

`git archive` applies filters, end-of-line conversion, export attributes and tar.umask, so this module reads the blobs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

from build.errors import InputRefusedError
from build.model.commit import Commit
from build.system import git
from build.system.git import EXECUTABLE, LINK, SUBMODULE, TreeEntry

# Format version of `export`. It is part of every image key, so that images of an older format are not reused.
EXPORT = "2"
# Timestamp (2000-01-01) of all files, so that equal files give equal layers for any commit on any day.
WRITTEN = 946_684_800
FILE_MODE, EXECUTABLE_MODE, FOLDER_MODE = 0o644, 0o755, 0o755
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Sources:
    """The files of a commit, or of a dirty working tree as `git add` would store them.

    The blobs of a dirty tree go into a temporary object store; the repository does not change. Each path is read once,
    so a file that changes during a build is the same in the image key and in the image.
    """

    def __init__(self, root: Path, commit: Commit) -> None:
        self._root, self._commit = root, commit
        self._env: dict[str, str] = {}
        if commit.dirty:
            scratch = tempfile.mkdtemp(prefix="sources-")
            weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
            self._env = _private_index(root, Path(scratch))
        self._added: set[str] = set()

    def files(self, paths: tuple[str, ...]) -> dict[str, TreeEntry]:
        """List the files under some paths, by path; a path that does not exist gives none.

        Raises:
            InputRefusedError: the untracked files contain another repository.
        """
        if not self._commit.dirty:
            return git.tree_files(self._root, self._commit.tree, paths)
        self._add(tuple(path for path in paths if path not in self._added))
        found = {}
        for line in git.fields(git.run(self._root, "ls-files", "--stage", "-z", "--", *paths, env=self._env)):
            meta, _, path = line.partition("\t")
            mode, blob, _ = meta.split()
            found[path] = TreeEntry(mode, blob)
        return found

    def present(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """The paths that contain at least one file."""
        files = self.files(paths)
        return tuple(path for path in paths if any(file == path or file.startswith(f"{path}/") for file in files))

    def _add(self, paths: tuple[str, ...]) -> None:
        if not paths:
            return
        prefix = os.fsdecode(git.run(self._root, "rev-parse", "--show-prefix")).rstrip("\n")
        changed = [path.removeprefix(prefix) for path in git.changed(self._root, paths, env=self._env)]
        if nested := [path for path in changed if path.endswith("/")]:
            raise _refused([f"{path}: a git repository of its own" for path in nested])
        git.run(
            self._root,
            *("update-index", "--add", "--remove", "--replace", "-z", "--stdin"),
            env=self._env,
            stdin=git.joined(changed),
        )
        self._added.update(paths)

    def export(self, paths: tuple[str, ...], into: Path) -> None:
        """Write the files under some paths into a folder, as a build context that contains only files from git.

        Raises:
            InputRefusedError: the content of a file is not in git, or an image cannot represent the file as git does.
        """
        files = self.files(paths)
        contents = self._contents({path: entry for path, entry in files.items() if entry.mode != SUBMODULE})
        self._refuse_unfit(files, contents)
        folders: set[Path] = set()
        for path, content in contents.items():
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.update(parent for parent in target.parents if parent.is_relative_to(into) and parent != into)
            target.write_bytes(content)
            _set_mode_and_time(target, EXECUTABLE_MODE if files[path].mode == EXECUTABLE else FILE_MODE)
        for folder in folders:
            _set_mode_and_time(folder, FOLDER_MODE)

    def _contents(self, files: Mapping[str, TreeEntry]) -> dict[str, bytes]:
        blobs = "".join(f"{entry.blob}\n" for entry in files.values()).encode()
        answer = memoryview(git.run(self._root, "cat-file", "--batch", env=self._env, stdin=blobs))
        found, offset = {}, 0
        for path in files:
            # Format: `<blob> blob <size>`, a newline, the content, a newline.
            head = bytes(answer[offset : offset + 200]).partition(b"\n")[0]
            start = offset + len(head) + 1
            offset = start + int(head.split()[2])
            found[path] = bytes(answer[start:offset])
            offset += 1
        return found

    def _refuse_unfit(self, files: Mapping[str, TreeEntry], contents: Mapping[str, bytes]) -> None:
        unfit = [f"{path}: a submodule" for path, entry in files.items() if entry.mode == SUBMODULE]
        # Symbolic links are refused because COPY keeps some of them and follows others.
        unfit += [f"{path}: a symbolic link" for path, entry in files.items() if entry.mode == LINK]
        unfit += [f"{path}: a Git LFS pointer" for path, data in contents.items() if data.startswith(LFS_POINTER)]
        unfit += [f"{path}: stored through the git filter {name}" for path, name in self._filters(files).items()]
        if unfit:
            raise _refused(unfit)

    def _filters(self, files: Mapping[str, TreeEntry]) -> dict[str, str]:
        """Filter attribute of each file that has one, except Git LFS, whose pointers are recognised by content."""
        query = ("-c", f"core.attributesFile={os.devnull}", "check-attr", "-z", "--stdin", "--cached", "filter")
        attributes = git.fields(git.run(self._root, *query, env=self._env, stdin=git.joined(files)))
        values = zip(attributes[::3], attributes[2::3], strict=True)
        return {path: value for path, value in values if value not in ("unspecified", "unset", "lfs")}


def _refused(unfit: list[str]) -> InputRefusedError:
    return InputRefusedError(
        f"{len(unfit)} inputs cannot go into an image, because git does not store them as regular files",
        detail="\n".join(unfit),
        remedy="commit the files themselves (Git LFS: `git lfs migrate export --include=PATH`), or move large files "
        "out of the images' inputs and mount them",
    )


def _private_index(root: Path, scratch: Path) -> dict[str, str]:
    """Make a copy of the repository's index and an object store that falls back to the repository's.

    Returns the environment variables that select them.
    """

    def git_path(name: str) -> Path:
        return root / os.fsdecode(git.run(root, "rev-parse", "--git-path", name)).rstrip("\n")

    objects, index = scratch / "objects", scratch / "index"
    (objects / "info").mkdir(parents=True)
    (objects / "info/alternates").write_bytes(os.fsencode(git_path("objects").resolve()) + b"\n")
    env = {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_INDEX_FILE": str(index)}
    if git_path("index").exists():
        # copy2 keeps the index's timestamp: git reads the content of every file that is not older than the index.
        shutil.copy2(git_path("index"), index)
    else:
        git.run(root, "read-tree", "HEAD", env=env)
    return env


def _set_mode_and_time(path: Path, mode: int) -> None:
    path.chmod(mode)
    os.utime(path, (WRITTEN, WRITTEN))
