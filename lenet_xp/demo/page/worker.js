// Keeps the page for when there is no network. VERSION, which follows from the files' content, and
// FILES stand above. Other pages of this host have caches of their own.

const OWN = `lenet_xp ${self.registration.scope} `, NAME = OWN + VERSION;

self.addEventListener("install", (event) => event.waitUntil(
  caches.open(NAME).then((cache) => cache.addAll(["./", ...FILES].map((each) => new Request(each, { cache: "reload" }))))));

self.addEventListener("activate", (event) => event.waitUntil(caches.keys()
  .then((names) => Promise.all(names.filter((each) => each.startsWith(OWN) && each !== NAME).map((each) => caches.delete(each))))
  .then(() => self.clients.claim())));

self.addEventListener("fetch", (event) => event.respondWith(
  caches.open(NAME).then((cache) => cache.match(event.request, { ignoreSearch: true })).then((kept) => kept ?? fetch(event.request))));
