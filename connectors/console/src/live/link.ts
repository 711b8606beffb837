/** The page's one socket, joined to the session and to the browser's idea of the network. */
import { signal } from "@preact/signals";
import { onToken, renew } from "../session";
import { LiveSocket, type Connection, type Wire } from "./socket";

export const connection = signal<Connection>({ phase: "idle" });
/** Ticks once a second, for ages on the screen. */
export const now_ms = signal(Date.now());

function connect(): Wire {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${location.host}/v1/ws`, "tapeline.v1") as unknown as Wire;
}

export const socket = new LiveSocket({
  connect,
  changed: (next) => {
    connection.value = next;
  },
  needToken: () => void renew(),
});

export function start(): void {
  socket.start();
  onToken((token) => socket.authenticate(token));
  setInterval(() => {
    now_ms.value = Date.now();
  }, 1000);
  window.addEventListener("online", () => socket.nudge());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") socket.nudge();
  });
}
