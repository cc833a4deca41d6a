"""Measure both colours by the proxy's counters and log; with few clients, send requests of the cutover's own."""

from __future__ import annotations

from build.audio import signal
from build.cutover.rules import answers
from build.cutover.rules.canary import Window
from build.cutover.run import Run
from build.gate import golden_files
from build.gate.golden import Text
from build.model.colours import Colour
from build.proxy.types import Request, Server
from build.target.synthesis import SynthesisResponse

SIDE_BY_SIDE = 3  # texts
QUIET_SAMPLES = 2  # after so many samples without a client's text for the candidate, the observer sends its own


class Observer:
    """One observation window from now on; for the old colour it includes the log of the `before_s` seconds before."""

    def __init__(self, run: Run, before_s: float = 0.0) -> None:
        self._run = run
        self._texts = golden_files.load(run.settings).texts
        self._began = self._read_to = run.target.now()
        self._first = run.proxy.servers()
        self._log: list[Request] = self._logged(self._began - before_s, self._began) if before_s else []
        self._mute = dict.fromkeys(Colour, 0)
        self._sent = self._quiet = 0
        self.answers = False  # at the last sample no health check of the candidate was pending
        self._count = 0

    def sample(self) -> dict[Colour, Window]:
        """Return both colours' windows up to now."""
        now = self._run.target.now()
        # Re-read one second: a request at the edge of two reads reaches the log after its timestamp.
        known = {(request.ended, request.server) for request in self._log}
        fresh = [
            request for request in self._logged(self._read_to - 1, now) if (request.ended, request.server) not in known
        ]
        self._log += [request for request in fresh if request.ended >= self._began]
        self._read_to = now
        servers = self._run.proxy.servers()
        return {colour: self._window(colour, servers) for colour in Colour}

    def _window(self, colour: Colour, servers: dict[str, Server]) -> Window:
        log = self._requests(colour)
        before = [request for request in log if request.ended < self._began]
        own = answers.sample(request for request in log if self._is_own(request))
        clients = answers.sample(request for request in log if self._is_clients(request))
        since = [_since(self._first[name], servers[name]) for name in colour.servers]
        sent = max(sum(pair[0] for pair in since) + len(before), clients.sent + own.sent)
        failed = sum(pair[1] for pair in since) + sum(request.failed for request in before)
        return Window(sent, min(failed + self._mute[colour] + own.refused, sent), clients, own)

    def _requests(self, colour: Colour) -> list[Request]:
        """Return a colour's logged requests; those of the idle one before the window were of the canary or older."""
        own = [request for request in self._log if request.server in colour.servers]
        return own if colour is not self._run.idle else [request for request in own if request.ended >= self._began]

    def down(self) -> str:
        """Return why the candidate is down or failing its health checks; "" while all of it is up."""
        servers = self._run.proxy.servers()
        names = self._run.server_names(self._run.idle)
        self.answers = not any(servers[name].checking for name in names)
        for name in names:
            first, now = self._first[name], servers[name]
            if not now.up:
                return f"the proxy has marked {name} down (last check: {now.check or 'none'})"
            if now.failed_checks > first.failed_checks and not now.healthy:
                return f"a health check of {name} failed: {now.check}"
        return ""

    @property
    def share(self) -> float:
        """The candidate's share (0 to 1) of the client requests, without the cutover's own."""
        servers = [
            request.server for request in self._log if request.ended >= self._began and not self._is_own(request)
        ]
        return sum(server in self._run.idle.servers for server in servers) / len(servers) if servers else 0.0

    def speak_if_quiet(self, *colours: Colour) -> None:
        """Send a golden text through the proxy to each colour if no client has used the candidate lately.

        Not while the candidate may hang: the request would block while its health check fails unnoticed.
        """
        texts = [request for request in self._requests(self._run.idle) if request.speech and self._is_clients(request)]
        count = len(texts)
        self._quiet = 0 if count > self._count else self._quiet + 1
        self._count = count
        if self._quiet < QUIET_SAMPLES or not self.answers:
            return
        text = self._next()
        for colour in colours:
            names = self._run.server_names(colour)
            server = names[self._sent % len(names)]
            response = self._run.candidate.replicas[0].speak_through(
                self._run.target.inside, server, text.say, self._texts.voice, self._run.settings.gate_timeout_s
            )
            self._mute[colour] += self._is_mute(text.say, response)

    def slower(self, live: Colour) -> bool:
        """Return whether the candidate is slower than the old colour, compared directly, each at its best.

        False when unknown: the old colour has no model or does not answer, or the candidate may hang (its health check
        will tell).
        """
        if not self.answers:
            return False
        best = dict.fromkeys((live, self._run.idle), float("inf"))
        for text in [self._next() for _ in range(SIDE_BY_SIDE)]:
            for colour in best:
                colours = self._run.colours[colour]
                response = colours.speak(text.say, self._texts.voice, self._run.settings.gate_timeout_s)
                measures = signal.judge(text.say, response.wav, self._texts.expect.of(None)).measures
                if measures and measures.duration_s:
                    best[colour] = min(best[colour], response.took_s / measures.duration_s)
        return best[live] < float("inf") and best[self._run.idle] > self._run.settings.canary_slower * best[live]

    def _next(self) -> Text:
        text = self._texts.texts[self._sent % len(self._texts.texts)]
        self._sent += 1
        return text

    def _is_mute(self, text: str, response: SynthesisResponse) -> bool:
        """Return whether a successful response has bad audio; the proxy's counters already include failed responses."""
        if response.error:
            return False
        return bool(signal.judge(text, response.wav, self._texts.expect.of(None)).faults)

    def _is_own(self, request: Request) -> bool:
        return request.client in self._run.target.addresses

    def _is_clients(self, request: Request) -> bool:
        """Return whether a client sent it to the API; the web page's requests stick to a colour."""
        return request.api and not self._is_own(request)

    def _logged(self, since: float, until: float) -> list[Request]:
        return self._run.proxy.requests(since, until)


def _since(first: Server, now: Server) -> tuple[int, int]:
    """Return the requests and failures of a server since `first`; a restarted proxy counts from zero."""
    restarted = now.total < first.total
    return (now.total, now.errors) if restarted else (now.total - first.total, now.errors - first.errors)
