// <time datetime data-time="relative|clock|full">: the server writes UTC, the reader sees the time where they are.
import { t } from "../lib/strings.js";

const UNITS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
const REFRESH_MS = 30000;
const language = document.documentElement.lang || undefined;
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });

function ago(date) {
  const seconds = (date.getTime() - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return t("just_now");
}

function write(element) {
  const date = new Date(element.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const text = element.dataset.time === "relative" ? ago(date) : (element.dataset.time === "full" ? full : short).format(date);
  if (element.textContent !== text) element.textContent = text;
  element.title = full.format(date);
}

export function localiseTimes(root) {
  if (root instanceof HTMLTimeElement) write(root);
  for (const element of root.querySelectorAll("time[data-time]")) write(element);
}

setInterval(() => {
  for (const element of document.querySelectorAll('time[data-time="relative"]')) write(element);
}, REFRESH_MS);
