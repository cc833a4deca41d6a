"""Options of the commands in build.cutover.__main__."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from build.model.colours import MOST_REPLICAS

StrategyName = Literal["auto", "overlap", "hold"]
StrategyOption = Annotated[
    StrategyName,
    typer.Option(
        "--strategy", help="overlap: both releases loaded; hold: one at a time while requests wait; auto: by GPU memory"
    ),
]
ForceHold = Annotated[
    bool, typer.Option("--force-hold", help="hold even if some clients will get 503 with Retry-After")
]
Canary = Annotated[
    str | None,
    typer.Option(metavar="SHARES", help="canary shares in percent of the traffic, such as 5,25,100; or `none`"),
]
Soak = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", min=0, help="how long the old colour stays ready to take over after the switch"),
]
Replicas = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=MOST_REPLICAS, help="number of containers, one GPU per container"),
]
Unverified = Annotated[
    bool, typer.Option("--unverified", help="release without a verification; the journal records it")
]
Again = Annotated[
    bool, typer.Option("--again", help="renew the release if it is already live, healthy and has the current settings")
]
Older = Annotated[bool, typer.Option("--older", help="accept a commit that is older than the live release's")]
Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="how long to wait for the cutover lock")]
