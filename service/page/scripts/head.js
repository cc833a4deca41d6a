// Shows the status while its tab is visible. Not a Gradio timer: that also ticks in hidden tabs. Each tick would count as
// tab work, and a drain would never see the tab idle.
(() => {
  const EVERY_MS = 3000;
  let requested = 0;
  const show = rows => {
    const list = document.getElementById("status");
    list?.replaceChildren(...rows.flatMap(row => row.map((text, place) => {
      const cell = document.createElement(place ? "dd" : "dt");
      cell.textContent = text;
      return cell;
    })));
  };
  const refresh = async () => {
    const list = document.getElementById("status");
    if (document.hidden || !list || !list.getClientRects().length) { requested = 0; return; }
    if (Date.now() - requested < EVERY_MS) return;
    requested = Date.now();
    try {
      const response = await fetch("/status.json", {cache: "no-store"});
      if (!response.ok) throw response.status;
      show((await response.json()).rows);
    } catch (problem) {
      show([[window.pageTexts.status, window.pageTexts.silent]]);
    }
  };
  setInterval(refresh, 250);
})();

// Gradio labels its upload buttons in English only, and with another text than they show: their text is the better name.
new MutationObserver(() => {
  for (const button of document.querySelectorAll(".upload-container[aria-label]")) button.removeAttribute("aria-label");
}).observe(document, {childList: true, subtree: true});

// The arrow keys move along the tabs, as screen readers tell their users; Gradio has only the Tab key.
document.addEventListener("keydown", event => {
  const tab = event.target.closest("[role=tab]"), step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (!tab || !step) return;
  const tabs = [...tab.parentElement.querySelectorAll("[role=tab]")];
  tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length].focus();
});
