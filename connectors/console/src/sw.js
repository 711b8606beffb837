/**
 * The service worker: keeps the shell, so that the console starts without a network, and nothing else.
 * Answers of the gateway (/v1 and all that is no file of the build) are never kept. `vite.config.ts` fills in the names.
 */
const SHELL = "tapeline-__VERSION__";
const FILES = __FILES__;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FILES)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== SHELL).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

// A newer version waits until the person says so: pages in use keep the files that they began with.
self.addEventListener("message", (event) => {
  if (event.data === "take-over") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (FILES.includes(url.pathname)) {
    event.respondWith(caches.match(url.pathname, { cacheName: SHELL }).then((kept) => kept ?? fetch(event.request)));
  } else if (
    event.request.mode === "navigate" &&
    !/^\/(v1|metrics|healthz|readyz|\.well-known)(\/|$)/.test(url.pathname)
  ) {
    event.respondWith(caches.match("/", { cacheName: SHELL }).then((kept) => kept ?? fetch(event.request)));
  }
});
