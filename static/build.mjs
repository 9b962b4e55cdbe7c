// Bundles static/js and static/css into static/dist (ignored by git): `npm run build`.
// Icons: every name used as {% icon "x" %}, icon="x" or icon: "x" in templates, Python and JavaScript goes into one SVG
// sprite, so a page needs no change here to use another Tabler icon; a name that Tabler lacks fails the build.
import { build, context } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const staticDir = dirname(fileURLToPath(import.meta.url));
const root = dirname(staticDir);
const dist = join(staticDir, "dist");
const iconDir = join(root, "node_modules/@tabler/icons/icons");
const ICON_USES = [
  /\{%-?\s*icon\s+"([a-z0-9-]+)"/g,
  /\bicon\s*[=:]\s*["']([a-z0-9-]+)["']/g,
  /\bicon\("([a-z0-9-]+)"/g,
  /"icon":\s*"([a-z0-9-]+)"/g,
];

function* sources(folder, extensions) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path, extensions);
    else if (extensions.some((extension) => entry.name.endsWith(extension))) yield path;
  }
}

function iconNames() {
  const names = new Map();
  const files = [
    ...sources(join(root, "templates"), [".html"]),
    ...sources(join(root, "promptops"), [".py"]),
    ...sources(join(staticDir, "js"), [".js"]),
  ];
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    for (const pattern of ICON_USES) {
      for (const match of text.matchAll(pattern)) names.set(match[1], file);
    }
  }
  return names;
}

function buildSprite() {
  const symbols = [];
  for (const [name, file] of [...iconNames()].sort()) {
    const filled = name.endsWith("-filled");
    const path = join(iconDir, filled ? "filled" : "outline", `${name.replace(/-filled$/, "")}.svg`);
    if (!existsSync(path)) throw new Error(`${relative(root, file)} uses the icon "${name}", which @tabler/icons lacks`);
    const body = readFileSync(path, "utf8")
      .replace(/^[\s\S]*?<svg[^>]*>/, "")
      .replace(/<\/svg>\s*$/, "")
      .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" ?\/>/, "")
      .replace(/\s+/g, " ");
    const paint = filled
      ? 'fill="currentColor"'
      : 'fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"';
    symbols.push(`<symbol id="${name}" viewBox="0 0 24 24"><g ${paint}>${body.trim()}</g></symbol>`);
  }
  writeFileSync(join(dist, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("\n")}</svg>\n`);
  return symbols.length;
}

const options = {
  absWorkingDir: root,
  entryPoints: { app: "static/js/app.js", "theme-boot": "static/js/theme_boot.js", style: "static/css/style.css" },
  outdir: dist,
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["chrome123", "firefox121", "safari17.5"],
  minify: true,
  legalComments: "linked",
  chunkNames: "chunks/[name]-[hash]",
  // CodeMirror reads process.env nowhere, but some of Cytoscape's dependencies do.
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
};

/** Takes away what earlier builds left; not before the build, so that a running server never misses a file. */
function removeAllBut(kept) {
  const wanted = new Set(kept.map((path) => join(root, path)));
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !wanted.has(path)) rmSync(path);
  }
}

mkdirSync(dist, { recursive: true });
if (process.argv.includes("--watch")) {
  const watcher = await context({ ...options, minify: false });
  buildSprite();
  await watcher.watch();
} else {
  const { metafile } = await build({ ...options, metafile: true });
  const icons = buildSprite();
  removeAllBut([...Object.keys(metafile.outputs), "static/dist/icons.svg"]);
  const style = readFileSync(join(dist, "style.css"));
  const digest = createHash("sha256").update(style).digest("hex").slice(0, 8);
  console.log(`static/dist: ${icons} icons, style.css ${Math.round(style.length / 1024)} KiB (${digest})`);
}
