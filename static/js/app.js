// Every page loads this. Small behaviours start at once; large ones are fetched when an element asks for them by
// data-component, also when htmx brings that element later.
import "./behaviours/htmx_setup.js";
import "./behaviours/theme.js";
import "./behaviours/shell.js";
import "./behaviours/menu.js";
import "./behaviours/dialogs.js";
import "./behaviours/confirm.js";
import "./behaviours/copy.js";
import "./behaviours/tabs.js";
import "./behaviours/shortcuts.js";
import "./behaviours/palette.js";
import "./behaviours/table_filter.js";
import "./behaviours/slug_field.js";
import { showPendingToasts } from "./behaviours/toasts.js";
import { localiseTimes } from "./behaviours/local_time.js";

const COMPONENTS = {
  "editor-page": () => import("./editor/editor_page.js"),
  "message-editor": () => import("./editor/message_editor.js"),
  "variables-panel": () => import("./editor/variables_panel.js"),
  "json-editor": () => import("./editor/json_editor.js"),
  "parameters-panel": () => import("./editor/parameters_panel.js"),
  "draft-autosave": () => import("./editor/draft_autosave.js"),
  "run-stream": () => import("./behaviours/run_stream.js"),
  "review-page": () => import("./behaviours/review_page.js"),
  "lineage-graph": () => import("./behaviours/lineage_graph.js"),
};

function startComponents(root) {
  const found = [...root.querySelectorAll("[data-component]")];
  if (root instanceof Element && root.matches("[data-component]")) found.unshift(root);
  for (const element of found) {
    const load = COMPONENTS[element.dataset.component];
    if (!load || element.dataset.started) continue;
    element.dataset.started = "1";
    load().then((module) => module.start(element));
  }
}

function wake(root) {
  startComponents(root);
  localiseTimes(root);
}

wake(document);
showPendingToasts();
document.addEventListener("htmx:load", (event) => wake(event.detail.elt));
