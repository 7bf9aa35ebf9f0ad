// Lets the measuring page open without a connection: from this browser's copy, which is renewed behind it.
"use strict";
const page = self.registration.scope, isFile = url => /\/(assets|ukur)\//.test(url);

// Keep the page and the files that it names; forget those of an earlier page.
const renew = () => Promise.all([caches.open("ukur"), fetch(page)]).then(both => {
  const cache = both[0], answer = both[1];
  return answer.ok && Promise.all([answer.clone().text(), cache.keys()]).then(found => {
    const names = (found[0].match(/[\w\/.-]*\/(assets|ukur)\/[\w.-]+/g) || []).map(name => new URL(name, page).href);
    const kept = found[1].map(one => one.url);
    return cache.addAll(names.filter(name => kept.indexOf(name) < 0))
      .then(() => cache.put(page, answer))
      .then(() => Promise.all(kept.filter(url => isFile(url) && names.indexOf(url) < 0).map(url => cache.delete(url))));
  });
});

self.addEventListener("install", event => event.waitUntil(renew()));

self.addEventListener("fetch", event => {
  const request = event.request, isPage = request.mode === "navigate";
  if (request.method !== "GET" || !isPage && !isFile(request.url)) return;
  event.respondWith(caches.match(isPage ? page : request.url).then(kept => {
    if (kept && isPage) event.waitUntil(renew().catch(() => 0));
    return kept || fetch(request);
  }));
});
