"""The table of changed packages in a pull request."""

import pytest

from build.locks import table
from build.locks.diff import Difference

CHANGES = {
    "locks/slim.txt": [Difference("pip", "numpy", "1", "2"), Difference("pip", "a|b", "", "1")],
    "locks/x.txt": [],
}
OWN = {"locks/conda-standin-slim-linux-64.lock": [Difference("conda", "python", "", "3.11")]}


def test_the_table_has_one_row_for_each_package() -> None:
    assert table.markdown(CHANGES | OWN, []) == (
        "| lock | package | before | now |\n"
        "| --- | --- | --- | --- |\n"
        "| locks/slim.txt | numpy | 1 | 2 |\n"
        "| locks/slim.txt | a\\|b |  | 1 |\n"
    )


def test_locks_that_were_not_written_come_before_the_table() -> None:
    text = table.markdown(CHANGES, ["locks/conda: out of reach\nand more"])
    assert text.index("- locks/conda: out of reach\n") < text.index("| lock |")
    assert "and more" not in text


@pytest.mark.parametrize("missing", [[], ["locks/conda: out of reach"]])
def test_without_a_change_in_git_the_table_is_empty(missing: list[str]) -> None:
    assert table.markdown(OWN, missing) == ""
