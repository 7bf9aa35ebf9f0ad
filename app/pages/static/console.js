// Improves pages that are whole without it: live fragments, filters without a reload, drafts, checks, pan and zoom.
"use strict";
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const busy = new Set(); // addresses being fetched

async function fetchPage(url, options = {}) {
  const response = await fetch(url, { credentials: "same-origin", ...options });
  if (response.redirected && new URL(response.url).pathname.endsWith("/sign-in")) return void location.assign(response.url);
  if (response.status === 401 && !options.method) return void location.reload();
  return { response, page: new DOMParser().parseFromString(await response.text(), "text/html") };
}

// What somebody ticked, chose or typed since the page came.
const touched = (one) => one.tagName === "SELECT" ? one.selectedIndex !== Math.max(0, [...one.options].findIndex((option) => option.defaultSelected))
  : /checkbox|radio/.test(one.type) ? one.checked !== one.defaultChecked : one.value !== one.defaultValue;

const FOCUSABLE = "a[href], button, input, select, summary";
function swap(page, elements, careful = true) {
  for (const old of elements) {
    const fresh = page.getElementById(old.id), typing = old.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")
      || careful && $$("input, select, textarea", old).some(touched);
    if (!fresh || typing || old.outerHTML === fresh.outerHTML) continue;
    const open = $$("details[open][id]", old).map((one) => one.id), focused = $$(FOCUSABLE, old).indexOf(document.activeElement);
    const views = $$("svg[data-zoom][id]", old).map((svg) => [svg.id, svg.getAttribute("viewBox")]);
    const shown = document.importNode(fresh, true);
    old.replaceWith(shown);
    improve();
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const [id, view] of views) document.getElementById(id)?.setAttribute("viewBox", view);
    if (focused >= 0) $$(FOCUSABLE, shown)[focused]?.focus({ preventScroll: true });
  }
}

// Live: fragments of this page are fetched anew when the stream tells of a change, on a slow link less often, and once
// a minute (data-every: other seconds), as time passes without changes, too.
function follow() {
  const { stream, stale, every = 60 } = document.body.dataset, live = () => $$("[data-live][id]"), note = document.getElementById("stale");
  if (!stream || !live().length) return;
  let source, due, running = false, missed = false, lastAt = Date.now(), tookMs = 0, heardAt = Date.now(), retryMs = 5000;
  const refresh = async () => {
    due = null; // what happens from now on is fetched by the next one
    if (running) return soon();
    running = true;
    const began = lastAt = Date.now();
    try {
      const { response, page } = await fetchPage(location.href) ?? {};
      if (response?.ok) swap(page, live());
    } catch { /* said by the watch below */ }
    tookMs = Date.now() - began; running = false;
  };
  const soon = () => {
    missed = document.hidden;
    if (!missed) due ??= setTimeout(refresh, Math.max(200 + Math.random() * 600, lastAt + Math.max(2500, 4 * tookMs) - Date.now()));
  };
  const open = () => {
    source = new EventSource(stream);
    source.addEventListener("version", () => { heardAt = Date.now(); retryMs = 5000; soon(); });
    source.addEventListener("beat", () => { heardAt = Date.now(); retryMs = 5000; });
    source.onerror = () => { // closed: refused, perhaps as the session has ended, which fetching the page shows
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { refresh(); open(); }, retryMs = Math.min(60000, retryMs * (1 + Math.random())));
    };
  };
  open();
  document.addEventListener("visibilitychange", () => missed && soon());
  setInterval(() => {
    const old = Date.now() - heardAt > 40000;
    if (Date.now() - lastAt > 1000 * every) soon();
    document.body.classList.toggle("old", old);
    if (note) note.hidden = !old;
    if (note && old) note.textContent = `${stale} ${new Date(heardAt).toLocaleTimeString("id-ID", { timeZone: "Asia/Makassar", timeStyle: "short" })} WITA`;
  }, 5000);
}

// Filters: a GET form that changes is sent without a reload; the address tells what is shown.
async function filter(form, url) {
  const target = url ?? `${form.action.split("?")[0]}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""))}`;
  if (busy.has(target)) return;
  busy.add(target);
  try {
    const { page } = await fetchPage(target) ?? {};
    if (!page) return;
    const focused = document.activeElement?.id;
    document.querySelector("main").replaceWith(document.importNode(page.querySelector("main"), true));
    history.pushState(null, "", target);
    improve();
    document.getElementById(focused)?.focus();
  } catch { location.assign(target); } finally { busy.delete(target); }
}

// Drafts: what is typed into a form stays in this browser until it was sent or its account signs out; what browsers must not remember (autocomplete="off": personal data) never does.
const mine = `draft:${document.body.dataset.account}:`, kept = (form) => mine + form.dataset.draft;
const forget = (prefix) => Object.keys(localStorage).filter((key) => key.startsWith("draft:") && !key.startsWith(prefix)).forEach((key) => localStorage.removeItem(key));
const inputs = (form) => [...form.elements].filter((one) => one.name && !["hidden", "password", "file", "submit", "image"].includes(one.type) && one.autocomplete !== "off" && one.tagName !== "BUTTON");
const values = (form) => inputs(form).filter((one) => !/radio|checkbox/.test(one.type) || one.checked).map((one) => [one.name, one.value]), keep = (form) => localStorage.setItem(kept(form), JSON.stringify(values(form)));
function restore(form) {
  const text = localStorage.getItem(kept(form)), whole = "draftWhole" in form.dataset; // whole: also over what the page came with
  if (!text || form.querySelector("[aria-invalid]")) return;
  for (const [name, value] of JSON.parse(text)) for (const one of inputs(form).filter((one) => one.name === name)) {
    if (/radio|checkbox/.test(one.type)) one.checked = one.value === value || one.checked; else if (whole || !one.value) one.value = value;
  }
  form.querySelector("[data-restored]")?.removeAttribute("hidden");
  if (whole) pick(form, JSON.parse(text)); // some are offered once others are chosen
}

// Picks: a choice on which others depend posts the form, and what it offers then is swapped; nothing is written.
async function pick(form, saved = []) {
  const turn = pick.last = (pick.last ?? 0) + 1, body = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...saved, ["step", "pick"]]) body.set(name, value);
  const { page } = await fetchPage(form.action, { method: "POST", body }).catch(() => alert(document.body.dataset.lost)) ?? {};
  if (!page || turn !== pick.last) return; // a later choice is on its way
  const typed = saved.length ? [] : values(form).filter(([name, value]) => value !== (body.get(name) ?? "")); // since it was sent
  swap(page, $$("[data-picked][id]", form), false);
  for (const [name, value] of typed) if (form.elements[name]) form.elements[name].value = value;
}

// Checks: on leaving a field the form is posted to data-check, and the errors of the fields left so far are shown.
async function check(form, field) {
  field.dataset.left = "";
  try {
    const { page } = await fetchPage(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)) }) ?? {};
    for (const one of $$("[data-left]", form)) {
      const found = page?.querySelector(`[data-errors-of="${CSS.escape(one.name)}"]`), shown = form.querySelector(`[data-errors-of="${CSS.escape(one.name)}"]`);
      if (!found || !shown) continue;
      shown.replaceChildren(...[...found.childNodes].map((node) => document.importNode(node, true)));
      one.toggleAttribute("aria-invalid", shown.childElementCount > 0);
      one.closest(".field")?.classList.toggle("wrong", shown.childElementCount > 0);
    }
  } catch { /* the form is checked again when it is sent */ }
}

// Pan and zoom of a drawing by its viewBox.
function zoomable(svg) {
  const whole = svg.viewBox.baseVal, home = [whole.x, whole.y, whole.width, whole.height];
  let drag = null;
  const zoom = (factor, x = whole.x + whole.width / 2, y = whole.y + whole.height / 2) => {
    const width = Math.min(home[2], Math.max(home[2] / 40, whole.width * factor)), ratio = width / whole.width;
    whole.x = x - (x - whole.x) * ratio; whole.y = y - (y - whole.y) * ratio; whole.height *= ratio; whole.width = width;
  };
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return; // plain scrolling moves the page
    event.preventDefault();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    zoom(event.deltaY > 0 ? 1.25 : 0.8, at.x, at.y);
  }, { passive: false });
  svg.addEventListener("dblclick", (event) => { event.preventDefault(); zoom(0.5); });
  svg.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, y: event.clientY }; });
  svg.addEventListener("pointermove", (event) => {
    if (!drag || !event.buttons || whole.width >= home[2]) return;
    const scale = whole.width / svg.clientWidth;
    whole.x -= (event.clientX - drag.x) * scale; whole.y -= (event.clientY - drag.y) * scale; drag = { x: event.clientX, y: event.clientY };
  });
  for (const button of $$(`[data-zoom-of="${svg.id}"]`)) {
    button.hidden = false;
    button.addEventListener("click", () => button.value === "0" ? [whole.x, whole.y, whole.width, whole.height] = home : zoom(Number(button.value)));
  }
}

const once = (element) => !element.dataset.improved && (element.dataset.improved = "1");
function improve() {
  for (const svg of $$("svg[data-zoom]").filter(once)) zoomable(svg);
  for (const form of $$("form[data-draft]").filter(once)) restore(form);
  for (const button of $$("button[data-copy][hidden]")) button.hidden = false;
  for (const form of $$("form[data-from-hash]")) { // a secret behind the # reaches no server by itself
    if (location.hash.length < 2) continue;
    form.elements.token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    form.requestSubmit();
  }
}

document.addEventListener("change", (event) => { const form = event.target.closest("form[data-filter]"); if (form) filter(form); else if (event.target.matches("[data-pick]")) pick(event.target.form); });
document.addEventListener("input", (event) => { const form = event.target.closest("form[data-draft]"); if (form) keep(form); });
document.addEventListener("focusout", (event) => { const form = event.target.closest("form[data-check]"); if (form && event.target.name) check(form, event.target); });
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form[data-filter]")) { event.preventDefault(); return void filter(form); }
  const confirmation = event.submitter?.dataset.confirm;
  if (confirmation && !confirm(confirmation)) return event.preventDefault();
  if (form.method === "post" && !navigator.onLine) { event.preventDefault(); return alert(document.body.dataset.lost); }
  if (form.getAttribute("action")?.endsWith("/sign-out")) forget(" ");
  if (form.dataset.draft) sessionStorage.setItem("sent", kept(form));
  setTimeout(() => { for (const button of $$("button", form)) { button.disabled = true; if (button === event.submitter && button.dataset.busy) button.textContent = button.dataset.busy; } });
});
document.addEventListener("click", async (event) => {
  if (event.target.matches("[data-discard]")) { localStorage.removeItem(kept(event.target.form)); return void location.assign(location.href); }
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  if (button.dataset.done) button.textContent = button.dataset.done;
});
document.addEventListener("keydown", (event) => {
  const search = document.querySelector("[data-focus-search]");
  if (event.key === "/" && search && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName)) { event.preventDefault(); search.focus(); }
});
addEventListener("popstate", () => location.reload());
addEventListener("pageshow", () => { for (const button of $$("button[disabled]")) button.disabled = false; });
if (document.body.dataset.account) forget(mine);
if (document.body.dataset.account && !document.querySelector("[aria-invalid], form[data-draft]") && sessionStorage.getItem("sent")) { localStorage.removeItem(sessionStorage.getItem("sent")); sessionStorage.removeItem("sent"); }
improve();
follow();
