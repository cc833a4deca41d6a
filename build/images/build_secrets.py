"""Files that image builds mount as BuildKit secrets, which never become part of a layer."""

from __future__ import annotations

import os
from pathlib import Path

from build.conda import access

SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CHANNEL_SECRETS = {"NETRC": "netrc", "RATTLER_AUTH_FILE": "rattler-auth"}


def ca() -> list[str]:
    """The host's CA bundle, for networks that inspect TLS."""
    bundles = (os.environ.get("SSL_CERT_FILE", ""), SYSTEM_BUNDLE)
    return next(([f"id=ca,src={bundle}"] for bundle in bundles if bundle and Path(bundle).is_file()), [])


def channels() -> list[str]:
    """Credential files of conda channels; only the steps that install from a channel mount them."""
    return [f"id={CHANNEL_SECRETS[variable]},src={path}" for variable, path in access.files(os.environ).items()]
