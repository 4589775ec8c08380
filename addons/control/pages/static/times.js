// Times as people say them, kept true while the page stands open; the exact one is in the title.

const STEPS = [
  [90, 1, "second"],
  [90 * 60, 60, "minute"],
  [36 * 3600, 3600, "hour"],
  [Infinity, 86400, "day"],
];
const TICK_MS = 5000;
const SOON_SECONDS = 120;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

// The server's clock may differ from this machine's; what it wrote into the page tells by how much.
let ahead = 0;

function inWords(seconds) {
  if (Math.abs(seconds) < 5) {
    return seconds > 0 ? "in a moment" : "just now";
  }
  const [, size, unit] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  return relative.format(Math.round(seconds / size), unit);
}

export function tellTimes(root = document) {
  const now = Date.now() + ahead;
  for (const element of root.querySelectorAll("time[data-relative]")) {
    const at = Date.parse(element.dateTime);
    if (!Number.isNaN(at)) {
      const words = inWords((at - now) / 1000);
      if (element.textContent !== words) {
        element.textContent = words;
      }
      element.title = exact.format(at);
      element.classList.toggle("soon", element.hasAttribute("data-until") && at - now < SOON_SECONDS * 1000);
    }
  }
}

export function takeClock(page) {
  const made = Number(page.documentElement.dataset.now);
  if (made > 0) {
    ahead = made * 1000 - Date.now();
  }
}

export function startTimes() {
  takeClock(document);
  tellTimes();
  setInterval(tellTimes, TICK_MS);
}
