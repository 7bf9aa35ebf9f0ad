// Measures the line: round trips of tiny requests, and the rate of one transfer in each direction.
const line = (() => {
  const read = text => {
    // A proxy's page, or nothing, is null.
    try { return JSON.parse(text); } catch (none) { return null; }
  };

  // Resolves with {status, body, retry}; status 0 without an answer.
  const ask = (method, url, body) => new Promise(done => {
    const x = new XMLHttpRequest();
    x.open(method, url);
    x.timeout = 20000;
    if (body) x.setRequestHeader("Content-Type", "application/json");
    x.onloadend = () => done({
      status: x.status, body: read(x.responseText), retry: +x.getResponseHeader("Retry-After") || 0
    });
    x.send(body ? JSON.stringify(body) : null);
  });

  // The browser's own timing of the request that began then: without its waiting for this script.
  const timed = from => {
    const all = performance.getEntriesByType("resource"), entry = all[all.length - 1];
    // Only so many are kept.
    performance.clearResourceTimings();
    return entry && entry.startTime > from - 9 && entry.responseStart - entry.requestStart;
  };

  // Resolves with the milliseconds of one round trip; null for one that was lost.
  const echo = url => new Promise(done => {
    const x = new XMLHttpRequest(), from = performance.now();
    x.open("GET", url);
    x.timeout = 5000;
    x.onloadend = () => {
      const ms = performance.now() - from;
      if (x.status === 204) setTimeout(() => done(timed(from) || ms)); else done(null);
    };
    x.send();
  });

  // The first one opens the connection and does not count. Resolves with {rtt, lost}.
  const echoes = (url, count, each) => {
    const rtt = [];
    let lost = 0;
    const next = left => left ? echo(url).then(ms => {
      if (ms === null) lost++; else if (left <= count) rtt.push(Math.round(ms * 10) / 10);
      each(1 - (left - 1) / (count + 1));
      return next(lost > 1 && !rtt.length ? 0 : left - 1);
    }) : {rtt, lost};
    return next(count + 1);
  };

  // Bytes and ms of a transfer's steady part; `samples`: [ms, bytes] as they came.
  const steady = samples => {
    if (samples.length < 4) return null;
    const first = samples[0], last = samples[samples.length - 1];
    const since = share => {
      const start = samples.find(one => one[0] >= first[0] + (last[0] - first[0]) * share);
      return {bytes: last[1] - start[1], ms: Math.round(last[0] - start[0])};
    };
    const most = since(.25), half = since(.5);
    const rises = half.ms > 200 && half.bytes / half.ms > 1.1 * most.bytes / most.ms;
    return rises ? half : most.ms > 50 && most.bytes > 0 ? most : null;
  };

  const random = bytes => {
    const part = crypto.getRandomValues(new Uint8Array(65536)), parts = [];
    for (let left = bytes; left > 0; left -= part.length) parts.push(part.subarray(0, left));
    return new Blob(parts);
  };

  // Resolves with {bytes, ms}, or null. The service ends it after maxS seconds, and what came counts.
  // Were it ended here, what is under way already would still arrive, in the way of what is measured next.
  const transfer = (up, url, bytes, maxS, each) => new Promise(done => {
    const x = new XMLHttpRequest(), samples = [], begin = performance.now();
    const limit = setTimeout(() => x.abort(), (maxS + 20) * 1000);
    x.open(up ? "POST" : "GET", url);
    if (!up) x.responseType = "arraybuffer";
    (up ? x.upload : x).onprogress = event => {
      samples.push([performance.now(), event.loaded]);
      each(event.loaded / bytes);
    };
    x.onloadend = () => {
      const took = Math.round(performance.now() - begin), ok = x.status === 200;
      let rate = steady(samples), told = up && ok && read(x.responseText);
      clearTimeout(limit);
      // What fits into the buffers of this device is "sent" at once: then only the answer tells when it arrived.
      if (told && told.ms > took / 2) rate = told;
      else if (told && !(rate && rate.ms > took / 3)) rate = {bytes: told.bytes, ms: took};
      // Over before it was steady, or told too coarsely: all of it.
      else if (!up && ok) rate = rate || {bytes: x.response.byteLength, ms: took};
      done(rate);
    };
    x.send(up ? random(bytes) : null);
  });

  return {ask, echoes, transfer};
})();
