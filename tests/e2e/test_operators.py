"""Two operators of one target behind ssh: one is cut off, the target helps itself, the other one finishes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from agent.lock import EXPIRY_S
from build.errors import AgentUnreachableError, EngineUnreachableError
from harness.load import hammering
from harness.ssh import Link, program, ssh_target
from harness.stack import Stack, wait_for

pytestmark = pytest.mark.alone

GIVES_UP_S = 120  # after 20 s, on a busy machine later
RESCUE_S = EXPIRY_S + 45


def test_an_operator_who_is_cut_off_costs_no_request_and_another_one_finishes(
    stack: Stack, rate: float, tmp_path: Path
) -> None:
    new = stack.release("its operator is cut off in the soak")
    with ssh_target(stack, tmp_path) as target, closing(Link(target.port)) as link, hammering(stack.url, rate) as load:
        path = f"{program(tmp_path, target, f'HostKeyAlias [127.0.0.1]:{target.port}')}:{stack.env['PATH']}"
        wait_for("traffic", lambda: len(load.report.samples) > rate)
        address = f"ssh://root@127.0.0.1:{link.port}"
        with stack.start("build.cutover", "switch", new, "--soak", "3600", DOCKER_HOST=address, PATH=path) as process:
            assert process.stdout
            lines = iter(process.stdout.readline, "")
            assert any("soaking for" in line for line in lines), "no soak"
            link.fail()
            output, _ = process.communicate(timeout=GIVES_UP_S)
        assert process.returncode in {AgentUnreachableError.exit_code, EngineUnreachableError.exit_code}, output
        wait_for("the agent to act", lambda: stack.journal()[-1]["event"] == "agent", RESCUE_S)
        acted = stack.journal()[-1]
        assert (acted["did"], acted["facts"]["soak"]["unwatched"]) == ("soak", True)
        finished = stack.run("build.cutover", "resume", DOCKER_HOST=f"ssh://{target.address}", PATH=path)
        assert f"{new} is live" in finished.stdout
        served = len(load.report.samples)
        wait_for("traffic afterwards", lambda: len(load.report.samples) > served + rate)
    assert load.report.failed == [], load.report.summary()
    assert stack.journal()[-1]["state"] == "retired"
