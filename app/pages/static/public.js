// Asks for a public page again each minute while it is looked at; without changes that is a 304 of a few bytes.
"use strict";
const content = () => document.querySelector("main[data-poll]");
let asked = Date.now();

async function renew() {
  const shown = content();
  if (!shown || document.visibilityState !== "visible" || Date.now() - asked < shown.dataset.poll * 1000) return;
  if (shown.contains(document.activeElement)) return; // somebody types or reads with the keyboard
  if (shown.querySelector("form :checked")) return; // or answers
  asked = Date.now() + Math.random() * 10000; // readers of a village shall not all ask at once
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main[data-poll]");
    if (!fresh || fresh.innerHTML === shown.dataset.before) return;
    const open = [...shown.querySelectorAll("details")].map((one) => one.open);
    shown.replaceChildren(...document.importNode(fresh, true).childNodes);
    shown.querySelectorAll("details").forEach((one, number) => { one.open = open[number] ?? false; });
    shown.dataset.before = fresh.innerHTML;
  } catch { /* the page says as of when it is */ }
}

setInterval(renew, 5000);
document.addEventListener("visibilitychange", renew);
