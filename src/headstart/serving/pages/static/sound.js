// Sounds on the page "Try it": a player in step with each timeline, and the microphone, as a WAV file.
"use strict";
const RECORDER = document.currentScript.dataset.recorder;
let addresses = [];

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  return Math.floor(tenths / 600) + ":" + (tenths % 600 / 10).toFixed(1).padStart(4, "0");
}

// What was sent is still here: it is played from memory, and nothing is fetched.
function connect(figure, file) {
  const audio = figure.querySelector("audio");
  const head = figure.querySelector(".head");
  const line = head.querySelector("line");
  const plots = figure.querySelector(".plots");
  const seconds = Number(figure.dataset.seconds);
  let until = Infinity;

  const show = () => {
    line.setAttribute("x1", audio.currentTime);
    line.setAttribute("x2", audio.currentTime);
    if (audio.currentTime >= until) audio.pause();
    if (!audio.paused) requestAnimationFrame(show);
  };
  const play = (from, to) => {
    until = to;
    audio.currentTime = from;
    audio.play();
  };
  audio.addEventListener("loadedmetadata", () => {
    audio.hidden = false;
    head.removeAttribute("hidden");
    plots.classList.add("ready");
    for (const button of figure.querySelectorAll("button[data-from]")) {
      button.hidden = false;
      button.addEventListener("click", () => play(Number(button.dataset.from), Number(button.dataset.to)));
    }
    plots.addEventListener("click", (event) => {
      const box = plots.getBoundingClientRect();
      play(seconds * (event.clientX - box.left) / box.width, Infinity);
    });
  });
  audio.addEventListener("play", show);
  audio.addEventListener("pause", () => { until = Infinity; });
  audio.addEventListener("seeked", show);
  addresses.push(URL.createObjectURL(file));
  audio.src = addresses.at(-1);
}

answers.addEventListener("answered", (event) => {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  for (const section of answers.querySelectorAll("[data-number]")) {
    const figure = section.querySelector("[data-sound]");
    const file = event.detail[Number(section.dataset.number)];
    if (figure && file) connect(figure, file);
  }
});

// 16 bits a sample, one channel: the oldest format there is, and every program reads it.
function wav(parts, rate) {
  const count = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const write = (place, text) => { for (let i = 0; i < text.length; i++) view.setUint8(place + i, text.charCodeAt(i)); };
  write(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); write(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  write(36, "data"); view.setUint32(40, 2 * count, true);
  let place = 44;
  for (const part of parts) {
    for (const value of part) {
      view.setInt16(place, 32767 * Math.max(-1, Math.min(1, value)), true);
      place += 2;
    }
  }
  return new Blob([view], {type: "audio/wav"});
}

// Telephones record in formats that browsers read and the server does not: those become WAV files here.
const READ_THERE = /\.(wav|flac|ogg|oga|opus|mp3|aiff?)$/i;
prepare = async (file) => {
  if (!file.size || READ_THERE.test(file.name)) return file;
  try {
    const sound = await new OfflineAudioContext(1, 1, 32000).decodeAudioData(await file.arrayBuffer());
    const mean = new Float32Array(sound.length);
    for (let k = 0; k < sound.numberOfChannels; k++) {
      sound.getChannelData(k).forEach((value, i) => { mean[i] += value / sound.numberOfChannels; });
    }
    return new File([wav([mean], sound.sampleRate)], file.name, {type: "audio/wav"});
  } catch (error) {
    return file;  // the server says what is wrong with it
  }
};

// The microphone: offered where there is one that may be asked for (https, or this computer).
const begin = document.getElementById("microphone-start");
if (begin && navigator.mediaDevices && window.AudioWorkletNode) {
  const panel = document.getElementById("microphone");
  const level = document.getElementById("microphone-level");
  const time = document.getElementById("microphone-time");
  const row = begin.closest(".row");
  const most = Number(panel.dataset.most);
  let recording = null;

  const stop = () => {
    if (!recording) return;
    for (const track of recording.stream.getTracks()) track.stop();
    recording.context.close();
    recording = null;
    panel.hidden = true;
    row.hidden = false;
    begin.focus();
    said.textContent = "";
  };
  const done = () => {
    if (!recording || !recording.parts.length) return;
    const file = new File([wav(recording.parts, recording.context.sampleRate)], "recording.wav", {type: "audio/wav"});
    stop();
    ask(body([file]));
  };
  const hear = (parts) => {
    if (!recording) return;
    recording.parts.push(...parts);
    recording.count += parts.reduce((sum, part) => sum + part.length, 0);
    const seconds = recording.count / recording.context.sampleRate;
    let loudest = 0;
    for (const part of parts) for (const value of part) loudest = Math.max(loudest, Math.abs(value));
    level.value = Math.sqrt(loudest);
    time.value = clock(seconds);
    if (seconds >= most - .2) done();
  };

  begin.hidden = false;
  begin.addEventListener("click", async () => {
    begin.disabled = true;
    try {
      // What makes speech clear for people takes away what tells other sounds apart.
      const plain = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
      const stream = await navigator.mediaDevices.getUserMedia({audio: plain});
      const context = new AudioContext();
      recording = {stream, context, parts: [], count: 0};
      await context.audioWorklet.addModule(RECORDER);
      await context.resume();
      const node = new AudioWorkletNode(context, "recorder");
      node.port.onmessage = (event) => hear(event.data);
      context.createMediaStreamSource(stream).connect(node).connect(context.destination);
      panel.hidden = false;
      row.hidden = true;
      said.textContent = "Recording …";
      document.getElementById("microphone-done").focus();
    } catch (error) {
      stop();
      said.textContent = "The microphone cannot be used: " + error.message;
    }
    begin.disabled = false;
  });
  document.getElementById("microphone-done").addEventListener("click", done);
  document.getElementById("microphone-stop").addEventListener("click", stop);
}
