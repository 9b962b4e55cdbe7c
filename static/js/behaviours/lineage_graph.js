// The lineage of an object as a graph: data-graph is JSON {"nodes": [{id, kind, label, url?, current?}],
// "edges": [{from, to, label?}]}. The list beside it says the same to keyboards and screen readers.
import cytoscape from "cytoscape";
import dagre from "cytoscape-dagre";

cytoscape.use(dagre);
const COLOURS = { prompt: "--violet", version: "--accent", label: "--green", endpoint: "--amber", credential: "--amber", run: "--blue", batch: "--blue" };

const FONT_PX = 12;
const FONT = "system-ui, sans-serif";
const MAX_TEXT_PX = 170;
const pen = document.createElement("canvas").getContext("2d");

function textWidth(text) {
  pen.font = `600 ${FONT_PX}px ${FONT}`;
  return Math.min(MAX_TEXT_PX, Math.ceil(pen.measureText(text).width)) + 2;
}

/** Cytoscape adds a <style> element unless one with this id is there; the content security policy would refuse it. */
function keepStyleOut() {
  const id = "__________cytoscape_stylesheet";
  if (!document.getElementById(id)) {
    const marker = document.createElement("meta");
    marker.id = id;
    document.head.append(marker);
  }
}

function colour(name) {
  // Canvas knows no light-dark(): the browser computes the value on an element first.
  const probe = document.createElement("span");
  probe.className = "colour-probe";
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function look() {
  const base = {
    label: "data(label)", "text-valign": "center", "text-halign": "center", shape: "round-rectangle", width: (node) => textWidth(node.data("label")), height: 26, padding: "9px",
    "background-color": colour("--surface-2"), "border-width": 1, "border-color": colour("--line-strong"), color: colour("--text"),
    "font-size": FONT_PX, "font-family": FONT, "text-wrap": "ellipsis", "text-max-width": MAX_TEXT_PX,
  };
  const kinds = Object.entries(COLOURS).map(([kind, name]) => ({ selector: `node[kind = "${kind}"]`, style: { "border-color": colour(name), "background-color": colour(`${name.replace("--accent", "--blue")}-soft`) } }));
  return [
    { selector: "node", style: base },
    ...kinds,
    { selector: "node[?current]", style: { "border-width": 2.5, "font-weight": 600 } },
    { selector: "edge", style: { width: 1.2, "line-color": colour("--line-strong"), "target-arrow-color": colour("--line-strong"), "target-arrow-shape": "triangle", "arrow-scale": 0.8, "curve-style": "bezier", label: "data(label)", "font-size": 10, color: colour("--muted"), "text-background-color": colour("--surface"), "text-background-opacity": 1, "text-background-padding": "2px" } },
  ];
}

export function start(root) {
  const graph = JSON.parse(root.dataset.graph || "null");
  const canvas = root.querySelector("[data-part=canvas]");
  if (!graph || !canvas) return;
  // On a phone the graph runs downwards, and texts on edges that lie side by side would overlap.
  const narrow = canvas.clientWidth < 560;
  const elements = [
    ...graph.nodes.map((node) => ({ data: { ...node, current: node.current ? 1 : 0 } })),
    ...graph.edges.map((edge, index) => ({ data: { id: `edge-${index}`, source: edge.from, target: edge.to, label: narrow ? "" : (edge.label ?? "") } })),
  ];
  keepStyleOut();
  // Room for the texts on the edges, where they lie along the ranks.
  const rankSep = !narrow && graph.edges.some((edge) => edge.label) ? 96 : 42;
  const drawn = cytoscape({
    container: canvas,
    elements,
    style: look(),
    layout: { name: "dagre", rankDir: narrow ? "TB" : "LR", nodeSep: 18, rankSep, fit: true, padding: 14 },
    maxZoom: 1.4,
    minZoom: 0.3,
    userZoomingEnabled: false,
    autoungrabify: true,
    boxSelectionEnabled: false,
  });
  if (drawn.zoom() > 1) {
    drawn.zoom(1);
    drawn.center();
  }
  drawn.on("tap", "node", (event) => {
    const url = event.target.data("url");
    if (url) window.location.assign(url);
  });
  drawn.on("mouseover", "node", (event) => canvas.classList.toggle("is-link", Boolean(event.target.data("url"))));
  drawn.on("mouseout", "node", () => canvas.classList.remove("is-link"));
  document.addEventListener("theme:changed", () => drawn.style(look()));
  new ResizeObserver(() => {
    drawn.resize();
    drawn.fit(undefined, 14);
    if (drawn.zoom() > 1) {
      drawn.zoom(1);
      drawn.center();
    }
  }).observe(canvas);
}
