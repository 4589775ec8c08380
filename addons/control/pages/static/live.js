// The page as it is now, without loading it anew. On every event the same address is fetched and the regions
// marked `data-live` that differ are put in place; a region in which somebody writes is left alone, and says so.

import { takeClock, tellTimes } from "./times.js";

const EVENTS = "/api/v1/events";
const RETRY_MS = 5000;

let source = null;
let fetching = false;
let again = false;
let retry = 0;
let afterwards = () => {};
let version = 0; // of the approvals that the page shows

function say(text) {
  document.getElementById("news").textContent = text;
}

function show(state, text) {
  const light = document.getElementById("live");
  light.dataset.liveState = state;
  light.textContent = text;
}

// A document that comes this way runs no scripts and loads nothing.
function fetchPage() {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = 20000;
    request.onload = () => resolve(request);
    request.onerror = request.ontimeout = () => reject(new Error("the page could not be fetched"));
    request.send();
  });
}

// Times that only go on aren't news.
function content(element) {
  const copy = element.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) {
    time.textContent = time.dateTime;
    time.removeAttribute("title");
    time.classList.remove("soon");
    if (time.classList.length === 0) {
      time.removeAttribute("class");
    }
  }
  for (const changed of copy.querySelectorAll("[data-here]")) {
    changed.remove();
  }
  for (const row of copy.querySelectorAll(".row")) {
    row.removeAttribute("hidden");
    row.classList.remove("arrived");
  }
  for (const button of copy.querySelectorAll("button.armed")) {
    button.classList.remove("armed");
  }
  for (const opened of copy.querySelectorAll("details")) {
    opened.removeAttribute("open");
  }
  const told = copy.querySelector("#armed-told");
  if (told !== null) {
    told.textContent = "";
  }
  return copy.innerHTML;
}

function isWrittenIn(region) {
  const fields = [...region.querySelectorAll("textarea, input:not([type=hidden])")];
  return fields.some(
    (field) =>
      field === document.activeElement ||
      (field.matches("textarea") ? field.value !== field.defaultValue : field.checked !== field.defaultChecked),
  );
}

function keyOf(element, region) {
  if (element === null || !region.contains(element)) {
    return null;
  }
  return element.id ? `#${CSS.escape(element.id)}` : element.matches("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null;
}

function replace(region, fresh) {
  const focused = keyOf(document.activeElement, region);
  const open = [...region.querySelectorAll("details[open][id]")].map((each) => each.id);
  const typed = [...region.querySelectorAll("textarea[id]")].map((each) => [each.id, each.value]);
  const known = new Set([...region.querySelectorAll(".row")].map((each) => each.id));
  const arrived = document.adoptNode(fresh);
  region.replaceWith(arrived);
  for (const element of arrived.querySelectorAll("[data-script-only]")) {
    element.hidden = false;
  }
  for (const id of open) {
    document.getElementById(id)?.setAttribute("open", "");
  }
  for (const [id, value] of typed) {
    const field = document.getElementById(id);
    if (field !== null && value !== "") {
      field.value = value;
    }
  }
  for (const row of arrived.querySelectorAll(".row")) {
    row.classList.toggle("arrived", !known.has(row.id));
  }
  if (focused !== null) {
    (arrived.querySelector(focused) ?? document.getElementById("main")).focus({ preventScroll: true });
  }
  tellTimes(arrived);
}

// Beside what somebody is writing: that it changed, and a way to have it as it is.
function offer(region, fresh) {
  region.querySelector("[data-here]")?.remove();
  const note = document.createElement("p");
  note.dataset.here = "";
  note.className = "note warn";
  note.append("This changed while you were writing. ");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Show what it is now";
  button.addEventListener("click", () => {
    button.focus();
    replace(region, fresh);
    afterwards();
  });
  note.append(button);
  region.prepend(note);
  say("This changed while you were writing.");
}

function put(page) {
  const news = [];
  for (const region of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(region.id);
    if (fresh === null || content(region) === content(fresh)) {
      continue;
    }
    if (fresh.dataset.says && fresh.dataset.says !== region.dataset.says) {
      news.push(fresh.dataset.says);
    }
    if (isWrittenIn(region)) {
      offer(region, fresh);
    } else {
      replace(region, fresh);
    }
  }
  takeClock(page);
  version = page.documentElement.dataset.version;
  document.title = page.title;
  tellTimes();
  afterwards();
  if (news.length > 0) {
    say(news.join(" "));
  }
}

function loginEnded() {
  stop();
  show("off", "Logged out");
  document.getElementById("login-ended").hidden = false;
  say("Your login has ended.");
}

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    do {
      again = false;
      const answer = await fetchPage();
      const page = answer.response;
      if (page?.querySelector("[data-login]")) {
        loginEnded();
        return;
      }
      if (answer.status === 200 && page !== null) {
        put(page);
      }
    } while (again);
  } catch {
    show("off", "Reconnecting…");
  } finally {
    fetching = false;
  }
}

function stop() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

// Only while it is looked at: browsers open few connections to one host, and tabs are left open for days.
function start() {
  if (source !== null || document.visibilityState === "hidden" || !document.getElementById("login-ended").hidden) {
    return;
  }
  source = new EventSource(`${EVENTS}?after=${version}`); // what happened since then is told at once
  source.onopen = () => show("on", "Live");
  source.addEventListener("approvals", refresh);
  source.onerror = () => {
    show("off", "Reconnecting…");
    if (source?.readyState === EventSource.CLOSED) {
      stop();
      refresh();
      retry = setTimeout(start, RETRY_MS);
    }
  };
}

export function startLive(search) {
  if (document.getElementById("live") === null) {
    return;
  }
  afterwards = search;
  version = document.documentElement.dataset.version;
  document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? stop() : start()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", start);
  start();
}
