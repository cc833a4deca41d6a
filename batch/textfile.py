"""Read the text of a file that people write, with one clear message for each reason why that fails."""

from __future__ import annotations

from pathlib import Path

from service.taskfile.lines import other_encoding


class TextFileError(ValueError):
    """The file cannot be read as text; `remedy` states what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read(path: Path, most: int, encoding: str = "") -> str:
    """Return the text of a file of at most `most` bytes, without UTF-8's mark at its start.

    Args:
        encoding: its name in Python; by default what the first bytes show, else UTF-8.

    Raises:
        TextFileError: the file is missing, too large, or not in the encoding.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise TextFileError(f"{path} cannot be read: {error.strerror}", "choose a text file") from None
    if len(content) > most:
        raise TextFileError(f"{path} has more than {most} bytes", "split it")
    name = encoding or other_encoding(content[:4]) or "utf-8"
    try:
        return content.decode("utf-8-sig" if name.lower() in ("utf-8", "utf8") else name)
    except LookupError:
        raise TextFileError(f"encoding {name} is unknown", "choose an encoding of Python, such as gb18030") from None
    except UnicodeDecodeError as error:
        remedy = "set --encoding, for example gb18030, utf-16 or cp1252"
        raise TextFileError(f"{path} is not {name}: byte {error.start + 1}", remedy) from None
