// What a browser keeps of its measurements for a week, each with its number; in memory alone where it may not keep.
// All of these scripts are ECMAScript 2015 without what Chromium 49 lacks: they shall run on the phones of 2016.
"use strict";
const store = (() => {
  let db = null, rows = [], kept = {}, last = 0;

  const open = () => new Promise(done => {
    try {
      const request = indexedDB.open("sinyal-ukur", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("rows", {keyPath: "seq", autoIncrement: true});
        request.result.createObjectStore("kept");
      };
      request.onsuccess = () => { db = request.result; done(); };
      request.onerror = () => done();
    } catch (refused) { done(); }
  });

  // The result of the request that `act` makes, once it is written; of `without` where there is no database.
  const run = (name, act, without) => db ? new Promise((done, fail) => {
    const work = db.transaction(name, "readwrite"), request = act(work.objectStore(name));
    work.oncomplete = () => done(request && request.result);
    work.onerror = work.onabort = fail;
  }).catch(() => {
    // A full disk, or a closed database: other numbers, so another visitor.
    db = null;
    return without();
  }) : Promise.resolve(without());

  const isOld = row => Date.now() - row.at > 6048e5;
  const get = name => run("kept", all => all.get(name), () => kept[name]);
  const set = (name, value) => run("kept", all => { all.put(value, name); }, () => { kept[name] = value; });

  return {
    open, get, set, isOld,
    keeps: () => !!db,

    visitor: () => get("visitor").then(known => known || set("visitor",
      Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => (byte + 256).toString(16).slice(1)).join("")
    ).then(() => get("visitor"))),

    // Whether it is this window's turn: of several only one measures.
    turn: everyMs => {
      let mine = false;
      const now = Date.now(), take = (before, keep) => {
        mine = !(before <= now && now - before < everyMs);
        if (mine) keep();
      };
      return run("kept", all => {
        const request = all.get("measured");
        request.onsuccess = () => take(request.result, () => all.put(now, "measured"));
      }, () => take(kept.measured, () => { kept.measured = now; })).then(() => mine);
    },

    add: row => run("rows", all => {
      const request = all.add(row);
      request.onsuccess = () => { row.seq = request.result; };
    }, () => {
      row.seq = ++last;
      rows.push(row);
    }),

    rows: () => run("rows", all => all.getAll(), () => rows.slice()),

    // Mark rows as sent; those older than a week are forgotten.
    sent: some => run("rows", all => some.forEach(row => {
      row.sent = 1;
      if (isOld(row)) all.delete(row.seq); else all.put(row);
    }), () => {
      some.forEach(row => { row.sent = 1; });
      rows = rows.filter(row => !isOld(row));
    }),

    forget: () => run("rows", all => { all.clear(); }, () => { rows = []; })
      .then(() => run("kept", all => { all.clear(); }, () => { kept = {}; }))
  };
})();
