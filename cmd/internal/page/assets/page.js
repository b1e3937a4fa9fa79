// Puts newer fragments of the page in place of older ones, and keeps relative times true. Without it the page can be read all the same.

const body = document.body;
const ahead = Date.parse(body.dataset.now) - Date.now(); // of this machine's clock
const state = document.getElementById("live-state");
const button = document.getElementById("live-pause");
const announce = document.getElementById("announce");

const waiting = new Map(); // fragments that somebody is at, by id
let source = null;
let paused = false;

// words is a time in relation to now, as the server says it.
function words(ms) {
  const s = Math.floor(Math.abs(ms) / 1000);
  if (s < 1) return "now";
  const text =
    s < 120 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  return ms < 0 ? `${text} ago` : `in ${text}`;
}

function tick() {
  if (paused && source === null) return;
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = words(Date.parse(time.dateTime) - now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// busy reports whether a person is at a fragment: what they have opened or begun to write stays.
function busy(element) {
  return element.querySelector("details[open]") !== null || element.contains(document.activeElement) && document.activeElement.matches("input, summary");
}

function put(id, html) {
  const old = document.getElementById(id);
  if (old === null) return;
  if (busy(old)) {
    waiting.set(id, html);
    return;
  }
  waiting.delete(id);
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  if (fresh === null) return;
  const scrolled = [...old.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroll").forEach((e, i) => (e.scrollLeft = scrolled[i] ?? 0));
  if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
  if (id === "status" && old.dataset.status !== fresh.dataset.status) {
    announce.textContent = `Readiness is ${fresh.dataset.status} now`;
  }
}

function show(text, kind) {
  state.textContent = text;
  state.dataset.kind = kind;
}

function open() {
  if (source !== null || paused || document.hidden) return;
  source = new EventSource(body.dataset.stream);
  source.addEventListener("frame", (event) => {
    show("Live", "live");
    for (const [id, html] of [...waiting, ...Object.entries(JSON.parse(event.data))]) put(id, html);
    tick();
  });
  source.addEventListener("end", () => show("The worker stops", "lost"));
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) {
      show("Not connected: trying again", "lost");
      return;
    }
    // Refused, as when too many look on. It is tried again now and then.
    close();
    show("Not kept up to date", "lost");
    setTimeout(open, 30000);
  });
}

function close() {
  source?.close();
  source = null;
}

if (body.dataset.stream && "EventSource" in window) {
  document.getElementById("live").hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    if (paused) {
      close();
      show("Paused", "paused");
    } else {
      show("Live", "live");
      open();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else {
      open();
    }
  });
  show("Live", "live");
  open();
}
setInterval(tick, 1000);
