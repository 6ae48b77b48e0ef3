// A choice that only says what is shown takes effect at once; its button is for browsers without scripts.
"use strict";
for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", () => form.submit());
}
