"""Synthesize one text on the container's own service and print the result as JSON (`python -c` in the container).

The orchestrator's code sends and times the request: a release must not report on itself. It requests a streamed
response as a client does, so that the time to the first audio is known. With an address (HOST:PORT) and a cookie
it asks the proxy for the server that the cookie names.
"""

import base64
import http.client
import json
import os
import sys
import time


def main(text: str, voice: str, timeout_s: float, address: str = "", cookie: str = "") -> None:
    address = address or f"127.0.0.1:{os.environ.get('TTS_PORT', '7860')}"
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    body = {"input": text, "voice": voice, "response_format": "wav", "stream_format": "audio"}
    connection.connect()
    began = time.monotonic()
    result = {"wav": "", "first_s": 0.0, "took_s": 0.0, "error": ""}
    try:
        headers = {"Content-Type": "application/json", "Cookie": cookie}
        connection.request("POST", "/v1/audio/speech", json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read(1)
        result["first_s"] = time.monotonic() - began
        content += response.read()
    except (OSError, http.client.HTTPException) as error:
        result["error"] = f"{type(error).__name__} {error}"
    else:
        result["took_s"] = time.monotonic() - began
        if response.status == http.client.OK:
            result["wav"] = base64.b64encode(content).decode()
        else:
            result["error"] = f"HTTP {response.status}: {content[:200].decode(errors='replace')}"
    print(json.dumps(result))  # noqa: T201 - the output


main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:])
