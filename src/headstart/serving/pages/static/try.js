// The page "Try it": files may be dropped, photographed or recorded (sound.js), answers arrive without leaving the page.
// Without this script the form works all the same: it is sent, and the page comes back with the answers.
"use strict";
const form = document.getElementById("ask");
const answers = document.getElementById("answers");
const said = document.getElementById("said");
const files = document.getElementById("files");
const drop = document.getElementById("drop");
let running = null;
let prepare = async (file) => file;  // sound.js knows more

async function ask(body) {
  if (running) running.abort();
  const mine = running = new AbortController();
  answers.setAttribute("aria-busy", "true");
  said.textContent = form.dataset.busy;
  said.classList.add("busy");
  try {
    const sent = await Promise.all(body.getAll("files").map((file) => prepare(file)));
    body.delete("files");
    for (const file of sent) body.append("files", file, file.name);
    const reply = await fetch(form.action, {
      method: "POST", body, signal: mine.signal, headers: {"X-Part": "answers"}, credentials: "same-origin",
    });
    if (!reply.headers.get("Content-Type").startsWith("text/html")) throw new Error(String(reply.status));
    answers.innerHTML = await reply.text();
    answers.dispatchEvent(new CustomEvent("answered", {detail: sent}));
    const found = Array.from(answers.querySelectorAll("h2"), (each) => each.textContent);
    said.textContent = found.length > 1 ? found.length + " answers: " + found.join(", ") : "Answer: " + found.join("");
  } catch (error) {
    if (error.name === "AbortError") return;
    said.textContent = "The server did not answer. Try again in a moment.";
  }
  said.classList.remove("busy");
  answers.setAttribute("aria-busy", "false");
  answers.scrollIntoView({block: "nearest"});
}

function body(chosen) {
  const data = new FormData(form);
  if (chosen) {
    data.delete("files");
    for (const file of chosen) data.append("files", file, file.name);
  }
  return data;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(body());
});

if (files) files.addEventListener("change", () => { if (files.files.length) ask(body()); });

if (drop) {
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) {
    drop.addEventListener(name, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) ask(body(event.dataTransfer.files));
  });
}

document.addEventListener("paste", (event) => {
  if (files && event.clipboardData.files.length) ask(body(event.clipboardData.files));
});

// The camera: offered where there is one that may be asked for (https, or this computer).
const start = document.getElementById("camera-start");
if (start && navigator.mediaDevices && navigator.mediaDevices.getUserMedia) {
  const panel = document.getElementById("camera");
  const video = panel.querySelector("video");
  const take = document.getElementById("camera-take");
  const stop = () => {
    if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
    video.srcObject = null;
    panel.hidden = true;
    start.hidden = false;
    start.focus();
  };
  start.hidden = false;
  start.addEventListener("click", async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
    } catch (error) {
      said.textContent = "The camera cannot be used: " + error.message;
      return;
    }
    take.disabled = true;  // until there is a picture to take
    panel.hidden = false;
    start.hidden = true;
    await video.play();
    take.disabled = false;
    take.focus();
  });
  take.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => { if (blob) ask(body([new File([blob], "camera.jpg", {type: "image/jpeg"})])); }, "image/jpeg", .92);
  });
  document.getElementById("camera-stop").addEventListener("click", stop);
}
