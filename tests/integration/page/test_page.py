"""The page over real HTTP: progress, stop, recordings and status."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile

from harness.page import ServedPage, player_seconds, served_page
from harness.stack import wait_for
from service.synthesis.lifecycle import Phase
from tests.unit.service.support import at_rest

# Gradio's import leaves event loops open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served_page(tmp_path_factory.mktemp("page")) as served:
        yield served


@pytest.fixture
def served(serving: ServedPage) -> Iterator[ServedPage]:
    serving.engine.spoken.clear()
    yield serving
    serving.engine.gate.set()
    serving.engine.ungated = 0
    wait_for("the service to rest", lambda: at_rest(serving.service), 20)


def wav(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, [0.1] * int(8000 * seconds), 8000, format="WAV")
    return file.getvalue()


def refusal(events: Iterator[tuple[str, Any]]) -> str:
    """Return the error note of a text that is rejected."""
    *_, (kind, (_, note, _)) = events
    assert kind == "complete"
    assert 'role="alert"' in note
    return str(note)


def test_progress_is_shown_per_sentence_and_the_file_has_the_chosen_format(served: ServedPage) -> None:
    served.engine.gate.clear()
    served.engine.ungated = 1
    events = served.speak("One. Two. Three.", form="flac")
    # "Next in the queue." may be skipped if the slot is free at once.
    first = next(values[1] for _, values in events if "Next in the queue." not in values[1])
    assert first == "<p>Sentence 1 is ready: 0.1 s so far.</p>"
    served.engine.gate.set()
    *_, (kind, (download, note, _)) = events
    assert kind == "complete"
    assert note.startswith("<p>0.3 seconds at 8000 Hz")
    content = served.file(download["value"])
    assert content.startswith(b"fLaC")
    assert soundfile.info(io.BytesIO(content)).duration == pytest.approx(0.3)


def test_what_was_left_out_of_the_text_is_named(served: ServedPage) -> None:
    *_, (_, (_, note, _)) = served.speak("Well done 🎉.")
    assert "Left out of the text: <span lang='en'>emoji 1: U+1F389 PARTY POPPER</span>" in note
    *_, (_, (_, note, _)) = served.speak("Well done.")
    assert "Left out" not in note


def sounds(events: Iterator[tuple[str, Any]]) -> Iterator[str]:
    """Yield the player's value after each event that has one."""
    values = (values[-1] for _, values in events if len(values) == 3)  # a press of stop has one value
    return (value for value in values if isinstance(value, str))


def test_the_player_gets_the_speech_while_it_is_made(served: ServedPage) -> None:
    served.engine.gate.clear()
    served.engine.ungated = 20
    playing = sounds(served.speak("Word. " * 40, form="flac"))
    first = next(playing)
    while player_seconds(first) < 1:
        first = next(playing)
    assert served.service.scheduler.jobs == 1
    served.engine.gate.set()
    *_, last = playing
    assert last.startswith(f"{first} ")
    assert last.endswith(" .")
    assert player_seconds(last) == pytest.approx(4, abs=0.01)


def test_the_player_ends_where_the_speech_was_stopped(served: ServedPage) -> None:
    served.engine.gate.clear()
    served.engine.ungated = 20
    playing = sounds(served.ask("speak", "Word. " * 40, "joe", 1.0, "wav", None, "", session="a-tab"))
    first = next(playing)
    wait_for("20 sentences", lambda: len(served.engine.spoken) == 20, 20)
    served.post("stop_text", session="a-tab")
    *_, last = playing
    assert last.startswith(f"{first} ")
    assert last.endswith(" .")
    assert player_seconds(last) < 3


def test_a_press_of_stop_without_work_is_answered(served: ServedPage) -> None:
    ((kind, (note,)),) = served.ask("stop_text")
    assert (kind, note) == ("complete", "<p>There is nothing to stop.</p>")


def test_the_queue_position_is_shown(served: ServedPage) -> None:
    served.engine.gate.clear()
    threads = [threading.Thread(target=list, args=(served.speak(f"Number {n}."),)) for n in range(2)]
    for number, thread in enumerate(threads):
        thread.start()
        served.until_busy_with(number + 1)
    events = served.speak("This one is longer, so it comes last.")
    assert next(events)[1][1] == "<p>Waiting in the queue with 1 ahead.</p>"
    served.engine.gate.set()
    notes = [values[1] for _, values in events]
    assert any("seconds at 8000 Hz" in str(note) for note in notes)
    for thread in threads:
        thread.join()


def test_stop_ends_only_the_work_of_its_own_tab(served: ServedPage) -> None:
    served.engine.gate.clear()
    served.post("speak", "One. Two.", "joe", 1.0, "wav", None, "", session="a-tab")
    served.until_busy_with(1)
    list(served.ask("stop_text", session="another"))
    assert served.service.scheduler.jobs == 1
    served.post("stop_text", session="a-tab")
    served.until_busy_with(0)


def test_the_same_error_again_is_a_new_note(served: ServedPage) -> None:
    assert refusal(served.speak(" ")) != refusal(served.speak(" "))


def test_closing_a_tab_stops_its_synthesis_at_the_next_sentence(served: ServedPage) -> None:
    served.engine.gate.clear()
    with served.opened("speak", "A. " * 1000, "joe", 1.0, "wav", None, ""):
        served.until_busy_with(1)
    served.engine.gate.set()
    served.until_busy_with(0)
    assert len(served.engine.spoken) < 1000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x" * 5000, "The text has 5000 characters, at most 4096 are allowed. Shorten it"),
        (" ", "The text is empty. Type at least"),
        ("Привет", "CYRILLIC"),
        ("<b>🙂", "The text has no letter or digit. Type at least"),
    ],
)
def test_invalid_input_shows_an_error_with_a_remedy(served: ServedPage, text: str, wanted: str) -> None:
    assert wanted in refusal(served.speak(text))


def test_a_service_that_is_not_ready_or_full_shows_the_retry_delay(served: ServedPage) -> None:
    served.service.lifecycle.phase = Phase.WARMING
    try:
        note = refusal(served.speak("Hello."))
    finally:
        served.service.lifecycle.phase = Phase.READY
    assert "<p>The service is not ready (phase warming). Try again in 2 s.</p>" in note
    served.service.scheduler.queue_limit = 0
    try:
        note = refusal(served.speak("Hello."))
    finally:
        served.service.scheduler.queue_limit = 128
    assert "The queue is full" in note
    assert "Try again in" in note


def test_a_recording_reaches_an_engine_that_supports_voice_cloning(served: ServedPage) -> None:
    recording = served.upload("prompt.wav", wav(4.0))
    list(served.speak("Hello.", prompt=recording, transcript="What the recording says."))
    assert served.engine.last
    prompt = served.engine.last.prompt
    assert prompt
    assert (prompt.samples.size, prompt.sample_rate, prompt.text) == (32000, 8000, "What the recording says.")
    note = refusal(served.speak("Hello.", prompt=served.upload("prompt.wav", b"no audio")))
    assert "The recording is not readable audio; send wav, flac, ogg, aiff or mp3. Choose another" in note


def test_voice_cloning_controls_are_visible_if_the_engine_supports_it(served: ServedPage) -> None:
    parts = served.client.get("/config").json()["components"]
    assert [part["props"]["visible"] for part in parts if part["type"] == "accordion"] == [True]


def test_the_status_tab_does_not_count_as_work_of_a_tab(served: ServedPage) -> None:
    before = served.service.traffic._page_ended
    rows = dict(served.client.get("/status.json").json()["rows"])
    assert (rows["Release"], rows["Engine"], rows["Device"], rows["Phase"]) == ("test-1", "fake", "CPU", "ready")
    assert (rows["Waiting"], rows["Waiting batch lines"]) == ("0 (at most 128)", "0 (at most 32)")
    assert served.service.traffic._page_ended == before
    assert not [part for part in served.client.get("/config").json()["components"] if part["type"] == "timer"]
