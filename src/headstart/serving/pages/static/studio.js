// The studio's list of jobs, kept up to date while something is going on.
"use strict";
const jobs = document.getElementById("jobs");
const news = document.getElementById("news");
let seen = null;

function statuses() {
  return new Map(Array.from(jobs.querySelectorAll("[data-job]"), (job) => [job.dataset.job, job.dataset.status]));
}

function isBusy() {
  return Array.from(statuses().values()).some((status) => status === "queued" || status === "running");
}

function announce(before, after) {
  for (const [name, status] of after) {
    if (before.has(name) && before.get(name) !== status) {
      news.textContent = jobs.querySelector(`[data-job="${name}"]`).dataset.title + ": " + status;
    }
  }
}

async function refresh() {
  if (document.visibilityState === "visible") {
    try {
      const reply = await fetch(jobs.dataset.source, {headers: {"X-Part": "jobs"}, credentials: "same-origin"});
      if (!reply.ok || reply.redirected) return;
      const text = await reply.text();
      if (text !== seen) {
        const focus = document.activeElement && jobs.contains(document.activeElement) ? document.activeElement.id : "";
        const before = statuses();
        jobs.innerHTML = text;
        seen = text;
        announce(before, statuses());
        if (focus && document.getElementById(focus)) document.getElementById(focus).focus();
      }
    } catch (error) {
      // The server is gone for a moment; the next look will tell.
    }
  }
  if (isBusy()) {
    setTimeout(refresh, 1000);
  } else if (jobs.dataset.done) {
    location.reload();
  }
}

if (jobs && isBusy()) setTimeout(refresh, 700);
