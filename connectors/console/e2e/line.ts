/** A line to the gateway that can be cut: browsers emulate no network under an open WebSocket. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Line {
  private readonly ends = new Set<Socket>();
  private isCut = false;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async to(gateway: string): Promise<Line> {
    const { hostname, port } = new URL(gateway);
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const line = new Line(server, `http://localhost:${(server.address() as AddressInfo).port}`);
    server.on("connection", (near) => {
      if (line.isCut) return void near.resetAndDestroy();
      const far = connect(Number(port), hostname);
      for (const [end, other] of [
        [near, far],
        [far, near],
      ] as const) {
        line.ends.add(end);
        end.pipe(other);
        end.on("error", () => other.destroy());
        end.on("close", () => {
          line.ends.delete(end);
          other.destroy();
        });
      }
    });
    return line;
  }

  cut(): void {
    this.isCut = true;
    for (const end of this.ends) end.resetAndDestroy();
  }

  mend(): void {
    this.isCut = false;
  }

  close(): void {
    this.cut();
    this.server.close();
  }
}
