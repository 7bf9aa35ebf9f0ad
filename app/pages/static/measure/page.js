// The page: of which access point, what is measured when, what waits to be sent, and the list of the week.
(() => {
  const TICK_MS = 15e3, MOST_PAUSE_MS = 3e5;
  const byId = id => document.getElementById(id), nothing = () => 0;
  const words = byId("words").dataset, language = words.locale;
  const bar = byId("bar"), button = byId("measure"), consent = byId("consent"), stay = byId("stay");
  let site, visits = {}, everyMs = 3e5, isBusy, isSending, downSince = 0, nextSend = 0, pause = 0, awake;

  const word = (name, values) => (words[name] || "").replace(/\{(\w+)\}/g, (all, key) => values[key]);
  const number = (value, places) => value.toLocaleString(language, {maximumFractionDigits: places || 0});

  const show = (id, text) => {
    byId(id).textContent = text;
    byId(id).hidden = !text;
  };

  const add = (parent, tag, text) => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    return made;
  };

  const median = list => {
    const sorted = list.sort((a, b) => a - b), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };

  // Which access point

  const place = one => `${one.name === one.village ? "" : `${one.name}, `}${one.village}, ${one.district} (${one.code})`;

  const find = code => {
    const list = byId("choices");
    show("status", word("looking"));
    line.ask("GET", `${words.api}/site${code ? `?code=${encodeURIComponent(code)}` : ""}`).then(answer => {
      const sites = answer.body && answer.body.sites || [], isAway = !answer.status || answer.status > 428;
      list.textContent = "";
      if (sites.length === 1) return choose(sites[0]);
      show("status", word(sites.length ? "several" : isAway ? "noservice" : code ? "nosuch" : "nosite"));
      sites.forEach(one => { add(add(list, "li", ""), "button", place(one)).onclick = () => choose(one); });
      byId("other").open = !sites.length;
    });
  };

  const choose = one => {
    site = one;
    store.set("site", one);
    byId("choices").textContent = "";
    show("status", word("at", {place: place(one)}));
    byId("tools").hidden = byId("other").open = false;
    visit(one.code).then(tick);
  };

  // Resolves with the running visit, or with the answer that refused it.
  const visit = code => {
    if (visits[code]) return Promise.resolve(visits[code]);
    return store.visitor().then(visitor => line.ask("POST", words.api, {code, visitor})).then(answer => {
      const begun = answer.body;
      if (answer.status !== 201) return answer;
      visits[code] = begun;
      everyMs = begun.every_s * 1000;
      if (site && site.code === code) tell(begun);
      return begun;
    });
  };

  const tell = begun => {
    const plan = begun.speed;
    show("network", word(begun.network));
    byId("agree").hidden = !plan;
    show("kilobytes", plan ? word("kilobytes", {kb: number(plan.total_kb)}) : "");
    show("refused", plan ? "" : word(begun.speed_refused) || word("nospeed"));
  };

  // Measuring

  const progress = share => { bar.value = share; };

  const measure = isOwn => {
    if (isBusy || !site) return;
    const row = {code: site.code, down: null, up: null}, begun = Date.now();
    isBusy = button.disabled = true;
    bar.hidden = false;
    line.echoes(`${words.api}/echo`, isOwn ? 2 : 10, progress).then(found => {
      Object.assign(row, found);
      row.tests = !isOwn && consent.checked && row.rtt.length;
      return row.tests && visit(row.code).then(begun => begun.speed && speed(row, begun));
    }).then(() => {
      row.at = Date.now();
      if (!row.rtt.length) downSince = downSince || begun; else nextSend = 0;
      row.offline_s = downSince ? Math.max(0, Math.round((row.at - downSince) / 1000)) : 0;
      downSince = row.rtt.length ? 0 : row.at;
      return store.add(row);
    }).then(() => {
      result(row);
      return send();
    }).catch(nothing).then(() => {
      isBusy = button.disabled = false;
      bar.hidden = true;
      list();
    });
  };

  const speed = (row, begun) => {
    const plan = begun.speed, query = `?visit=${encodeURIComponent(begun.visit)}`;
    // The next one tells whether there may be another test.
    delete visits[row.code];
    return line.transfer(false, `${words.api}/down${query}`, plan.down_bytes, plan.max_s, progress).then(found => {
      row.down = found;
      return row.down && line.transfer(true, `${words.api}/up${query}`, plan.up_bytes, plan.max_s, progress);
    }).then(found => { row.up = found; });
  };

  const result = row => {
    const ms = row.rtt.length && median(row.rtt), means = word(ms < 100 ? "fast" : ms < 300 ? "middling" : "slow");
    const down = rates([row], "down"), up = rates([row], "up");
    show("latency", ms ? word("latency", {ms: number(ms), means}) : word("lost"));
    show("speed", row.down ? word("speeds", {down, up}) : row.tests ? word("nospeed") : "");
  };

  // Sending

  const send = () => {
    if (isSending || Date.now() < nextSend) return Promise.resolve();
    isSending = true;
    return store.rows().then(rows => {
      const old = rows.filter(store.isOld), waiting = rows.filter(row => !row.sent);
      if (old.length) return store.sent(old);
      return waiting.length && sendPart(waiting.filter(row => row.code === waiting[0].code).slice(0, 100));
    }).catch(nothing).then(more => {
      isSending = false;
      return more && send();
    });
  };

  const sendPart = part => {
    const code = part[0].code;
    return visit(code).then(begun => begun.visit
      ? line.ask("POST", `${words.api}/results`, {visit: begun.visit, results: part.map(sendable)})
      : {status: begun.status === 422 ? 404 : begun.status, retry: begun.retry}
    ).then(answer => {
      // Taken or refused for good (a portal's page that says 200 is neither), or the access point is gone.
      if (answer.status === 200 && answer.body || answer.status === 404) {
        pause = 0;
        return store.sent(part).then(() => true);
      }
      if (answer.status) delete visits[code];
      pause = Math.min(Math.max(answer.retry * 1000, 2 * pause, TICK_MS), MOST_PAUSE_MS);
      nextSend = Date.now() + pause;
    });
  };

  const sendable = row => ({
    seq: row.seq, rtt_ms: row.rtt, down: row.down, up: row.up, lost: row.lost, offline_s: row.offline_s,
    age_ms: Math.max(0, Date.now() - row.at)
  });

  // The week

  const cells = (body, texts) => {
    const line = body.insertRow();
    texts.forEach(text => add(line, "td", text));
  };

  const rtts = rows => {
    const all = [].concat(...rows.map(row => row.rtt));
    return all.length ? `${number(median(all))} ms` : "–";
  };

  const rates = (rows, way) => {
    const all = rows.filter(row => row[way]).map(row => row[way].bytes / row[way].ms / 125);
    return all.length ? number(median(all), 1) : "–";
  };

  const list = () => store.rows().then(rows => {
    const days = new Map(), last = byId("last"), waiting = rows.filter(row => !row.sent).length;
    byId("week").hidden = !rows.length;
    show("waiting", waiting ? word("waiting", {n: number(waiting)}) : word("sent"));
    last.textContent = byId("days").textContent = "";
    rows.reverse().forEach((row, place) => {
      const when = shown => {
        shown.timeZone = "Asia/Makassar";
        return new Date(row.at).toLocaleString(language, shown);
      };
      const day = when({day: "numeric", month: "short"});
      days.set(day, (days.get(day) || []).concat(row));
      if (place < 12) cells(last, [
        `${day} ${when({hour: "2-digit", minute: "2-digit"})}`, row.rtt.length ? rtts([row]) : word("nolink"),
        `${rates([row], "down")} / ${rates([row], "up")}`, word(row.sent ? "yes" : "notyet")
      ]);
    });
    days.forEach((some, day) => {
      const off = some.reduce((sum, row) => sum + row.offline_s, 0);
      cells(byId("days"), [day, number(some.length), rtts(some), `${rates(some, "down")} / ${rates(some, "up")}`,
        off ? word("minutes", {n: number(off / 60, 1)}) : "–"]);
    });
  });

  // While it stays open

  const tick = () => {
    if (stay.checked && site && !isBusy) store.turn(everyMs - TICK_MS / 2).then(mine => mine && measure(true));
    return send().then(list);
  };

  const stayAwake = () => {
    if (awake) awake.release();
    awake = 0;
    show("screen", stay.checked ? word(navigator.wakeLock ? "wakes" : "sleeps") : "");
    if (stay.checked && navigator.wakeLock && !document.hidden) {
      navigator.wakeLock.request("screen").then(lock => { awake = lock; }, nothing);
    }
  };

  button.onclick = () => store.turn(0).then(() => measure(false));
  // It is given for as long as the page is open.
  consent.checked = false;
  stay.onchange = () => {
    store.set("stay", stay.checked);
    stayAwake();
    tick();
  };
  byId("other").onsubmit = event => {
    event.preventDefault();
    find(byId("code").value.trim());
  };
  byId("forget").onclick = () => {
    if (confirm(word("confirm"))) store.forget().then(() => { visits = {}; }).then(list);
  };
  window.onhashchange = () => find(location.hash.slice(1, 30));
  window.onoffline = () => { downSince = downSince || Date.now(); };
  window.ononline = () => {
    nextSend = 0;
    if (stay.checked) measure(true); else tick();
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    stayAwake();
    tick();
  });
  if (navigator.serviceWorker) navigator.serviceWorker.register(words.worker, {scope: words.scope}).catch(nothing);

  byId("page").hidden = false;
  store.open().then(() => {
    show("memory", store.keeps() ? "" : word("memory"));
    return Promise.all([store.get("site"), store.get("stay")]);
  }).then(kept => {
    const code = location.hash.slice(1, 30);
    stay.checked = !!kept[1];
    stayAwake();
    if (kept[0] && (!code || code === kept[0].code)) choose(kept[0]); else find(code);
    setInterval(tick, TICK_MS);
    return list();
  });
})();
