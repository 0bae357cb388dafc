// The console works without this; with it, a page keeps itself up to date.
"use strict";

const PERIOD = 2000; // milliseconds between two looks
const PAUSED = "qrmill-paused";

// Change `from` into `to` where they differ: focus, ticks and open details stay as they are.
function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
    from.replaceWith(document.importNode(to, true));
  } else if (from.nodeType === Node.ELEMENT_NODE) {
    morphAttributes(from, to);
    morphChildren(from, to);
  } else if (from.data !== to.data) {
    from.data = to.data;
  }
}

function morphAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && name !== "hidden") from.setAttribute(name, value);
  }
}

function morphChildren(from, to) {
  const wanted = [...to.childNodes];
  wanted.forEach((want, place) => {
    const have = from.childNodes[place] ?? null;
    const same = want.id ? [...from.children].find((child) => child.id === want.id) : null;
    if (same) {
      if (same !== have) from.insertBefore(same, have);
      morph(same, want);
    } else if (have && !want.id && !have.id) {
      morph(have, want);
    } else {
      from.insertBefore(document.importNode(want, true), have);
    }
  });
  while (from.childNodes.length > wanted.length) from.lastChild.remove();
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
  if (answer.redirected) {
    location.reload(); // the session has ended
    return;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const region of document.querySelectorAll("[data-live]")) {
    const newer = page.getElementById(region.id);
    if (newer) morph(region, newer);
  }
  document.title = page.title;
  revealTickAll();
}

function keepLive(button) {
  let timer = 0;
  const paused = () => sessionStorage.getItem(PAUSED) === "1";
  const tell = (text) => {
    if (button.textContent !== text) button.textContent = text;
    button.setAttribute("aria-pressed", String(!paused()));
  };
  const look = async () => {
    clearTimeout(timer);
    if (paused() || document.hidden) return;
    try {
      await refresh();
      tell("Live");
    } catch {
      tell("No answer");
    }
    timer = setTimeout(look, PERIOD);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    sessionStorage.setItem(PAUSED, paused() ? "0" : "1");
    tell(paused() ? "Paused" : "Live");
    look();
  });
  document.addEventListener("visibilitychange", look);
  tell(paused() ? "Paused" : "Live");
  timer = setTimeout(look, PERIOD);
}

function revealTickAll() {
  for (const all of document.querySelectorAll("[data-all]")) all.closest("label").hidden = false;
}

document.addEventListener("change", ({ target }) => {
  if (!target.dataset.all) return;
  for (const box of document.getElementsByName(target.dataset.all)) box.checked = target.checked;
});

// A form is good for one time: a second click would only be told so.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload(); // taken from the browser's memory, with a form that was sent
});

revealTickAll();
const button = document.getElementById("live");
if (button && document.querySelector("[data-live]")) keepLive(button);
