"""An open web tab: its event stream, reopened after each end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

PATH = "/gradio_api/heartbeat/a-tab"  # Gradio's page keeps it open


class OpenTab:
    """A tab; `releases` served its streams, in order; `broken` has the errors of interrupted streams."""

    def __init__(self, url: str) -> None:
        self.releases: list[str] = []
        self.broken: list[str] = []
        self._url = url
        self._session = requests.Session()
        self._closed = threading.Event()

    def run(self) -> None:
        """Keep a stream open until the tab is closed; it detects that at the end of a stream."""
        assert self._session.get(self._url, timeout=60).ok
        while not self._closed.is_set():
            try:
                with self._session.get(f"{self._url}{PATH}", stream=True, timeout=300) as stream:
                    stream.raise_for_status()
                    self.releases.append(stream.headers["X-Release"])
                    for _ in stream.iter_content(1):
                        pass
            except requests.RequestException as error:
                self.broken.append(str(error))

    def close(self) -> None:
        self._closed.set()


@contextmanager
def open_tab(url: str) -> Iterator[OpenTab]:
    """Keep a tab open for the block."""
    tab = OpenTab(url)
    # No join: only the service ends the stream.
    threading.Thread(target=tab.run, daemon=True).start()
    try:
        yield tab
    finally:
        tab.close()
