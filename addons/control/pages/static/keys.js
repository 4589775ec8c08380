// One key each, for those who want it: off while somebody types, and switched off in the help (WCAG 2.1.4).

const OFF = "ddgate-keys-off";

function isTyping(element) {
  return element instanceof HTMLElement && element.matches("textarea, input, select, [contenteditable]");
}

function rows() {
  return [...document.querySelectorAll(".row:not([hidden])")];
}

function move(by) {
  const all = rows();
  if (all.length === 0) {
    return;
  }
  const link = document.activeElement?.closest?.(".row");
  const at = all.indexOf(link);
  const next = at === -1 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
  all[next].querySelector("a").focus();
  all[next].scrollIntoView({ block: "nearest" });
}

// The key doesn't decide: it goes to where the reason is written, and marks the button that Ctrl+Enter presses.
function arm(which) {
  const button = document.querySelector(`button[data-decides="${which}"]`);
  if (button === null) {
    return;
  }
  disarm();
  button.classList.add("armed");
  const field = button.form.querySelector("textarea");
  document.getElementById("armed-told").textContent = `Ctrl+Enter: ${button.textContent.trim()}`;
  (field ?? button).focus();
}

function disarm() {
  for (const button of document.querySelectorAll("button.armed")) {
    button.classList.remove("armed");
  }
  const told = document.getElementById("armed-told");
  if (told !== null) {
    told.textContent = "";
  }
}

function back() {
  const active = document.activeElement;
  if (isTyping(active)) {
    disarm();
    active.blur();
    return;
  }
  const up = document.querySelector("a[data-up]");
  if (up !== null) {
    up.click();
  }
}

function openHelp() {
  const help = document.getElementById("help");
  if (!help.open) {
    help.showModal();
  }
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => arm("approve"),
  d: () => arm("deny"),
  "/": () => document.getElementById("search")?.focus(),
  "?": openHelp,
};

function onKey(event) {
  if (event.defaultPrevented || event.isComposing || document.getElementById("help").open) {
    return;
  }
  const armed = document.querySelector("button.armed");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (armed !== null && armed.form.contains(document.activeElement)) {
      event.preventDefault();
      armed.form.requestSubmit(armed);
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !areOn()) {
    return;
  }
  if (event.key === "Escape") {
    back();
    return;
  }
  const action = isTyping(event.target) ? undefined : ACTIONS[event.key];
  if (action !== undefined) {
    event.preventDefault();
    action();
  }
}

function areOn() {
  try {
    return localStorage.getItem(OFF) === null;
  } catch {
    return true; // a browser that keeps nothing for us
  }
}

function turn(on) {
  try {
    if (on) {
      localStorage.removeItem(OFF);
    } else {
      localStorage.setItem(OFF, "1");
    }
  } catch {
    // as above
  }
}

export function startKeys() {
  const help = document.getElementById("help");
  if (help === null) {
    return;
  }
  document.addEventListener("keydown", onKey);
  for (const button of document.querySelectorAll("[data-opens-help]")) {
    button.addEventListener("click", openHelp);
  }
  const toggle = document.getElementById("keys-on");
  toggle.checked = areOn();
  toggle.addEventListener("change", () => turn(toggle.checked));
}
