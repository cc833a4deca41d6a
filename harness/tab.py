"""A web tab that stays open: its event stream, opened again whenever it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

PATH = "/gradio_api/heartbeat/a-tab"  # what a page of Gradio's keeps open


class Tab:
    """`releases` are those that its stream was opened at, in order; `broken` are the ends that were no proper ones."""

    def __init__(self, url: str) -> None:
        self.releases: list[str] = []
        self.broken: list[str] = []
        self._url = url
        self._session = requests.Session()
        self._closed = threading.Event()

    def run(self) -> None:
        """Until it is closed, which it notices at the end of a stream."""
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
def open_tab(url: str) -> Iterator[Tab]:
    """One that is open for the block."""
    tab = Tab(url)
    # Not waited for: only the service ends its stream.
    threading.Thread(target=tab.run, daemon=True).start()
    try:
        yield tab
    finally:
        tab.close()
