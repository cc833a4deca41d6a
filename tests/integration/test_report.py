"""What a cutover tells the world: hooks with its facts, and a page of its own."""

from __future__ import annotations

import re
from pathlib import Path

from build.errors import HookRefusedError
from tests.support.load import hammering
from tests.support.stack import Stack, hooks, wait_for


def live(stack: Stack) -> str:
    status = stack.status()
    return str(status["colours"][status["live"]]["release"]["sha"])


def test_a_cutover_tells_its_hooks_and_leaves_a_page(stack: Stack, tmp_path: Path) -> None:
    told = tmp_path / "told"
    say = f'["sh", "-c", "echo $0 $CUTOVER_RELEASE >>{told}", "{{0}}"]'
    before, sha = live(stack), stack.release("with hooks")
    points = ("pre-switch", "post-switch")
    with hooks(stack, "\n".join(f"{point} = {say.format(point)}" for point in points)):
        with hammering(stack.url, 2) as load:
            wait_for("traffic", lambda: len(load.report.samples) > 4)
            stack.run("build.cutover", "switch", sha)
        page = Path(stack.run("build.cutover", "report").stdout.strip().splitlines()[-1])
    assert load.report.failed == [], load.report.summary()
    assert told.read_text().splitlines() == [f"{point} {sha}" for point in points]
    html = (stack.root / page).read_text()
    assert sha in html
    assert before[:12] in html
    assert html.count("<audio") >= 2
    assert html.count("data:audio/wav;base64,") >= 2
    assert len(re.findall(r"<circle", html)) >= len(load.report.samples) / 2, "requests around the switch are plotted"
    assert not re.findall(r"""(?:src|href)=["']https?:""", html), "the page needs nothing but itself"


def test_a_hook_before_the_switch_can_refuse_it(stack: Stack) -> None:
    before, sha = live(stack), stack.release("refused by a hook")
    with hooks(stack, 'pre-switch = ["sh", "-c", "echo not today; exit 3"]'):
        done = stack.run("build.cutover", "switch", sha, check=False)
    assert done.returncode == HookRefusedError.exit_code
    assert "not today" in done.stderr
    assert live(stack) == before
    assert stack.status()["in_progress"] is None
