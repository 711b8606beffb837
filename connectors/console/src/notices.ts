/** Short messages in the corner, read aloud by screen readers. */
import { signal } from "@preact/signals";
import type { Notice } from "./live/orders";

export interface Shown extends Notice {
  id: number;
}

export const notices = signal<Shown[]>([]);

const SHOWN_MS = 8_000;
const MOST = 4;
let next = 1;

export function notify(notice: Notice): void {
  const id = next++;
  notices.value = [...notices.peek(), { ...notice, id }].slice(-MOST);
  // Bad news waits to be read.
  setTimeout(() => dismiss(id), notice.tone === "bad" ? SHOWN_MS * 2 : SHOWN_MS);
}

export function dismissAll(): void {
  notices.value = [];
}

export function dismiss(id: number): void {
  notices.value = notices.peek().filter((notice) => notice.id !== id);
}
