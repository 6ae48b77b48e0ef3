// Passes on what the microphone hears, a tenth of a second at a time; runs beside the page, where sound is made.
"use strict";
registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = [];
    this.count = 0;
  }

  process(inputs) {
    const channel = inputs[0][0];
    if (!channel) return true;
    this.samples.push(channel.slice());
    this.count += channel.length;
    if (this.count >= sampleRate / 10) {
      this.port.postMessage(this.samples);
      this.samples = [];
      this.count = 0;
    }
    return true;
  }
});
