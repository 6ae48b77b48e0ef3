// One key for each label. The keys can be switched off, for people whose speech or switch software types.
"use strict";
const keys = document.getElementById("keys");
if (keys) {
  try { keys.checked = localStorage.getItem("review-keys") !== "off"; } catch (error) { /* no storage: keys stay on */ }
  const show = () => { for (const kbd of document.querySelectorAll("button kbd")) kbd.hidden = !keys.checked; };
  keys.addEventListener("change", () => {
    try { localStorage.setItem("review-keys", keys.checked ? "on" : "off"); } catch (error) { /* for this page only */ }
    show();
  });
  show();
  document.addEventListener("keydown", (event) => {
    if (!keys.checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("select, textarea, input:not([type=checkbox])")) return;
    const button = document.querySelector(`button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  });
  // A second key before the next item is there must not answer for it.
  const form = document.getElementById("review");
  form.addEventListener("submit", () => setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  }));
}

// A sound is played with a key, too.
const play = document.getElementById("play");
if (play) {
  const audio = document.querySelector("audio");
  play.hidden = false;
  play.addEventListener("click", () => {
    if (audio.paused) audio.play(); else audio.pause();
  });
}
