// Plays speech while it is made. The value is a growing list, separated by spaces: an ID of the speech, its WebM
// parts in base64, and "." at its end.
const audio = element.querySelector("audio");
const TYPE = 'audio/webm; codecs="opus"';
const Source = window.MediaSource ?? window.ManagedMediaSource; // iPhones have only the latter
audio.setAttribute("aria-label", window.pageTexts.speech);
audio.disableRemotePlayback = true; // ManagedMediaSource requires it
let speech = {};

const once = (target, event) => new Promise(done => target.addEventListener(event, done, {once: true}));
const decoded = part => Uint8Array.from(atob(part), char => char.charCodeAt());

const play = source => {
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(source);
  audio.hidden = false;
  audio.play().catch(() => {}); // a browser that blocks it, or newer speech
};

const start = id => {
  const media = new Source();
  const buffer = once(media, "sourceopen").then(() => media.addSourceBuffer(TYPE));
  play(media);
  return {id, media, buffer, appended: 0, work: Promise.resolve()};
};

const append = async ({media, buffer}, part) => {
  const target = await buffer;
  if (media.readyState !== "open") return; // newer speech has replaced it
  if (part === ".") return media.endOfStream();
  target.appendBuffer(decoded(part));
  await once(target, "updateend");
};

watch("value", () => {
  const [id, ...parts] = props.value.split(" ");
  const failed = audio.error && speech.id === id; // for example, without an audio device
  if (failed || !Source?.isTypeSupported(TYPE)) {
    if (parts.at(-1) === ".") play(new Blob(parts.slice(0, -1).map(decoded), {type: TYPE}));
    return;
  }
  if (speech.id !== id) speech = start(id);
  const current = speech;
  for (const part of parts.slice(current.appended)) {
    current.work = current.work.then(() => append(current, part)).catch(() => {}); // see `failed`
  }
  current.appended = parts.length;
});
