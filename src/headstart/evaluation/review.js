"use strict";
// The manifest and the suspicious items travel in two JSON blocks of the page; nothing leaves the browser.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const rows = read("manifest");
const items = read("issues");
const form = document.getElementById("review");
const count = document.getElementById("count");
let saved = true;

// Same rule as apply_review in Python: path -> new label, or null to leave it out.
function decisions() {
  const found = {};
  items.forEach((name, i) => {
    const choice = form.elements["choice-" + i].value;
    if (choice === "fix") found[name] = form.elements["label-" + i].value;
    if (choice === "drop") found[name] = null;
  });
  return found;
}

function reviewed() {
  const found = decisions();
  return rows
    .map((row) => (Object.hasOwn(found, row.path) ? { ...row, label: found[row.path] } : row))
    .filter((row) => row.label !== null);
}

function csv(table) {
  const columns = Object.keys(rows[0] || { path: "", label: "" });
  const cell = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);
  const lines = table.map((row) => columns.map((column) => cell(row[column] ?? "")).join(","));
  return [columns.map(cell).join(","), ...lines].join("\r\n") + "\r\n";
}

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  saved = true;
}

function show() {
  const choices = Object.values(decisions());
  const dropped = choices.filter((label) => label === null).length;
  const fixed = choices.length - dropped;
  const kept = items.length - choices.length;
  count.textContent = `${kept} kept, ${fixed} fixed, ${dropped} dropped; the manifest will have ${rows.length - dropped} items.`;
}

form.addEventListener("change", (event) => {
  // Choosing a label means fixing it.
  const match = /^label-(\d+)$/.exec(event.target.name);
  if (match) form.elements["choice-" + match[1]].value = "fix";
  saved = false;
  show();
});
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("save-manifest").addEventListener("click", () =>
  download("manifest.csv", "text/csv;charset=utf-8", csv(reviewed())));
document.getElementById("save-decisions").addEventListener("click", () =>
  download("decisions.json", "application/json", JSON.stringify(decisions(), null, 2) + "\n"));
window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
show();
