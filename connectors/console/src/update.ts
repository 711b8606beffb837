/** The service worker, and word of a newer console that waits behind it. */
import { signal } from "@preact/signals";

/** Set when a newer version waits: it switches to it and loads the page again. */
export const update = signal<(() => void) | null>(null);

const LOOK_EACH_MS = 30 * 60_000;

export async function start(): Promise<void> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  try {
    const registration = await navigator.serviceWorker.register("/sw.js");
    const offer = () => {
      const waiting = registration.waiting;
      // Without a controller this is the first install: nothing older is on screen.
      if (!waiting || !navigator.serviceWorker.controller) return;
      update.value = () => {
        navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
        waiting.postMessage("take-over");
      };
    };
    offer();
    registration.addEventListener("updatefound", () => {
      registration.installing?.addEventListener("statechange", offer);
    });
    setInterval(() => void registration.update().catch(() => undefined), LOOK_EACH_MS);
  } catch (error) {
    console.warn("No offline start: the service worker was not registered.", error);
  }
}
