// Tells screen readers what the note shows: errors at once, progress every few seconds. After an error it moves the focus
// to the control that needs a correction.
const EVERY_MS = 4000;
const announcer = document.createElement("div");
announcer.className = "announcer";
announcer.setAttribute("role", "status");
document.body.append(announcer);
let announced = 0, timer;

watch("value", () => {
  clearTimeout(timer);
  const alert = element.querySelector("[role=alert]");
  if (alert) {
    announcer.textContent = "";
    alert.replaceWith(alert.cloneNode(true)); // an alert is announced when it is inserted, not when its text changes
    const {control} = alert.dataset;
    if (control) document.querySelector(control)?.focus();
    return;
  }
  timer = setTimeout(() => {
    announced = Date.now();
    announcer.textContent = element.textContent;
  }, announced + EVERY_MS - Date.now());
});
