// Live updates of pages, and the check of new jobs. All pages also work without JavaScript.
"use strict";

const PERIOD = 2000; // milliseconds between two refreshes
const PAUSED = "qrmill-paused";

// Update `from` to equal `to`. Only differences change, so focus, checked boxes and open details stay.
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
  wanted.forEach((want, index) => {
    const have = from.childNodes[index] ?? null;
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
  const response = await fetch(location.href, { headers: { "X-Refresh": "1" } });
  if (response.redirected) {
    location.reload(); // the session has ended; the sign-in page is shown
    return;
  }
  if (!response.ok) throw new Error(`status ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const region of document.querySelectorAll("[data-live]")) {
    const newer = page.getElementById(region.id);
    if (newer) morph(region, newer);
  }
  document.title = page.title;
  revealSelectAll();
}

function keepLive(button) {
  let timer = 0;
  const paused = () => sessionStorage.getItem(PAUSED) === "1";
  const setLabel = (text) => {
    if (button.textContent !== text) button.textContent = text;
    button.setAttribute("aria-pressed", String(!paused()));
  };
  const poll = async () => {
    clearTimeout(timer);
    if (paused() || document.hidden) return;
    try {
      await refresh();
      setLabel("Live");
    } catch {
      setLabel("No response");
    }
    timer = setTimeout(poll, PERIOD);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    sessionStorage.setItem(PAUSED, paused() ? "0" : "1");
    setLabel(paused() ? "Paused" : "Live");
    poll();
  });
  document.addEventListener("visibilitychange", poll);
  setLabel(paused() ? "Paused" : "Live");
  timer = setTimeout(poll, PERIOD);
}

function revealSelectAll() {
  for (const all of document.querySelectorAll("[data-all]")) all.closest("label").hidden = false;
}

document.addEventListener("change", ({ target }) => {
  if (!target.dataset.all) return;
  for (const box of document.getElementsByName(target.dataset.all)) box.checked = target.checked;
});

// A form can be sent only once: a second click would only get an error page.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload(); // restored from the back/forward cache: its form was already sent
});

// A new job is checked as soon as its rows or settings change, without leaving the page.
function checkAtOnce(form) {
  const drop = form.querySelector(".drop");
  const file = form.elements.namedItem("file");
  let turn = 0;
  let checked = "";

  const result = () => document.getElementById("result");
  const contents = () => {
    const fields = [...new FormData(form)].filter(([name]) => !["checked", "submission"].includes(name));
    return JSON.stringify(fields);
  };
  const show = (text) => {
    const line = document.createElement("p");
    line.setAttribute("role", "status");
    line.className = "panel";
    line.textContent = text;
    result().replaceChildren(line);
  };
  const replace = (page, withRows) => {
    const wanted = page.getElementById("result") ?? page.getElementById("main");
    result().replaceChildren(...wanted.childNodes);
    const fields = page.getElementById("new-job");
    if (!fields) return;
    form.querySelector("[name=step]").className = fields.querySelector("[name=step]").className;
    morph(form.querySelector(".settings"), fields.querySelector(".settings"));
    if (!withRows) return;
    document.getElementById("rows-field").replaceWith(page.getElementById("rows-field"));
    file.value = "";
  };
  const check = async (follow) => {
    const limit = Number(form.dataset.limit);
    const sent = file.files[0];
    const mine = ++turn;
    const before = contents();
    if (sent && sent.size > limit) {
      show(`The file has ${sent.size} bytes, more than the limit of ${limit} bytes. Divide it into several files.`);
      file.value = "";
      return;
    }
    // A result stays until the next one arrives: the button that somebody presses must not vanish.
    if (!result().childElementCount) show("Checking…");
    result().setAttribute("aria-busy", "true");
    try {
      const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (mine !== turn) return;
      replace(page, Boolean(sent));
      checked = sent ? contents() : before; // the rows of a file are on the page by now
    } catch {
      if (mine === turn) show("The service did not respond. Check again.");
    }
    if (mine !== turn) return;
    result().removeAttribute("aria-busy");
    if (follow) result().focus();
  };
  form.addEventListener("submit", (event) => {
    if (event.submitter?.value === "create") return;
    event.preventDefault();
    event.stopPropagation();
    check(true);
  });
  form.addEventListener("change", ({ target }) => {
    const hasRows = document.getElementById("rows").value.trim();
    if (file.files.length || (hasRows && contents() !== checked)) check(target === file);
  });
  form.addEventListener("paste", ({ target }) => {
    if (target.name === "rows") setTimeout(() => check(false));
  });
  const mark = (event) => {
    event.preventDefault();
    drop.classList.toggle("over", event.type === "dragover");
  };
  for (const name of ["dragover", "dragleave", "drop"]) drop.addEventListener(name, mark);
  drop.addEventListener("drop", ({ dataTransfer }) => {
    if (!dataTransfer.files.length) return;
    file.files = dataTransfer.files;
    check(true);
  });
}

revealSelectAll();
const newJob = document.getElementById("new-job");
if (newJob) checkAtOnce(newJob);
const button = document.getElementById("live");
if (button && document.querySelector("[data-live]")) keepLive(button);
