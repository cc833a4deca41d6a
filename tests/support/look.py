"""Runs in the container of tests.support.browser: opens a page at several widths and says on stdout what it saw."""

from __future__ import annotations

import json
import sys
from typing import Any

from selenium import webdriver

LIMIT_S = 60
SCRIPT = "const done = arguments[0]; (async () => { %s })().then(done, error => done({error: String(error)}))"


def open_browser() -> Any:
    """A headless Chromium that keeps what a page writes to its console."""
    options = webdriver.ChromeOptions()
    # It is root in there, and what it opens is ours: its own sandbox has nothing to keep apart.
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options)
    driver.set_page_load_timeout(LIMIT_S)
    driver.set_script_timeout(LIMIT_S)
    return driver


def look(driver: Any, page: str, script: str, width: int) -> dict[str, Any]:
    """The page at one width, as tests.support.browser.Seen."""
    # A window cannot be as narrow as a telephone; what the page takes for its screen can.
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(f"file://{page}")
    found = driver.execute_async_script(SCRIPT % script)
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
    errors = [entry["message"] for entry in driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    return {"width": width, "errors": errors, "found": found, "picture": picture}


def main() -> None:
    """Does as its only argument says."""
    order = json.loads(sys.argv[1])
    driver = open_browser()
    try:
        seen = [look(driver, order["page"], order["script"], width) for width in order["widths"]]
    finally:
        driver.quit()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
