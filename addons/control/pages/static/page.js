// What the pages gain where scripts run: they follow what happens, and take keys. All of them work without.
// Text from the server is only ever moved as nodes or text, never made into markup here.

import { startForms } from "./forms.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startSearch } from "./search.js";
import { startTimes } from "./times.js";

for (const element of document.querySelectorAll("[data-script-only]")) {
  element.hidden = false;
}
startTimes();
const search = startSearch();
startForms();
startKeys();
startLive(search);
