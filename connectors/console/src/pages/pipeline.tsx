/** The pipeline drawn: topics and components with live rates, lag, members and dead letters. */
import { useSignal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ProblemError, sentenceOf } from "../api/problems";
import type { Pipeline, PipelineComponent, PipelineTopic } from "../api/types";
import { layout, type Edge, type Node, type Spot } from "../draw/layers";
import { now_ms, socket } from "../live/link";
import { Empty, Skeleton } from "../parts/common";
import { LogInFirst } from "../parts/orders";
import { client, session } from "../session";

const POLL_MS = 5_000;

/** The channel brings news; where it is refused or silent, the REST call is asked again and again. */
function follow(data: Signal<Pipeline | null>, problem: Signal<string | null>): () => void {
  let gone = false;
  const load = async () => {
    try {
      const next = await client.pipeline();
      if (gone) return;
      if ((data.peek()?.at_ms ?? 0) <= next.at_ms) data.value = next;
      problem.value = null;
    } catch (error) {
      if (gone) return;
      const forbidden = error instanceof ProblemError && error.problem.status === 403;
      problem.value = forbidden
        ? "Only operators can see the pipeline. Ask operations for the role."
        : sentenceOf(error);
    }
  };
  void load();
  const timer = setInterval(() => {
    if (Date.now() - (data.peek()?.at_ms ?? 0) > POLL_MS) void load();
  }, POLL_MS);
  const leave = socket.subscribe(
    { channel: "pipeline" },
    {
      message: (message) => {
        if (message.type !== "pipeline") return;
        data.value = message;
        problem.value = null;
      },
    },
  );
  return () => {
    gone = true;
    clearInterval(timer);
    leave();
  };
}

export function PipelinePage() {
  const data = useSignal<Pipeline | null>(null);
  const problem = useSignal<string | null>(null);
  const loggedIn = session.value.phase === "in";
  useEffect(() => {
    document.title = "Pipeline · Tapeline";
    return loggedIn ? follow(data, problem) : undefined;
  }, [loggedIn]);
  const now = data.value;
  return (
    <div class="page whole">
      <header class="page-head">
        <h1>Pipeline</h1>
        {now ? <p class="dim">{Math.max(0, Math.round((now_ms.value - now.at_ms) / 1000))} s old</p> : null}
      </header>
      {problem.value ? (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      ) : null}
      {!loggedIn ? <LogInFirst what="the pipeline" /> : null}
      {loggedIn && !now && !problem.value ? <Skeleton rows={10} label="Loading the pipeline" /> : null}
      {loggedIn && now ? (
        <>
          <Drawing now={now} />
          <div class="cards-grid">
            <Components rows={now.components} />
            <DeadLetters rows={now.dead_letters} />
            <Topics rows={now.topics} />
          </div>
        </>
      ) : null}
    </div>
  );
}

/** A topic that one component alone writes and reads: its journal, its snapshots. It stands in the component's box. */
const isOwn = (topic: PipelineTopic) =>
  topic.writers.length === 1 && topic.readers.every((reader) => reader === topic.writers[0]);
/** Own topics leave the drawing only when their name says whose they are; a topic without readers stays. */
const inBox = (topic: PipelineTopic) => isOwn(topic) && topic.name.startsWith(`${topic.writers[0]}.`);

const rate = (value: number | null | undefined) =>
  value === null || value === undefined
    ? "–"
    : `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })}/s`;
const count = (value: number | null | undefined) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const about = (value: number | null | undefined) =>
  value === null || value === undefined ? "–" : compact.format(value);
const age = (value: number) => (value < 120 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`);

const [BOX_WIDE, BOX_HIGH, GAP_X, GAP_Y, EDGE] = [164, 58, 34, 12, 20];
const LAG_BAD = 10_000;

type Tone = "good" | "warn" | "bad";
function toneOf(component: PipelineComponent): Tone {
  if (component.members === 0) return "bad";
  if (component.restoring || (component.lag ?? 0) > LAG_BAD) return "warn";
  return "good";
}
const TONE_WORDS: Record<Tone, string> = { good: "● runs", warn: "▲ behind", bad: "✕ stopped" };
const stateWords = (component: PipelineComponent) => {
  if (component.members === null || component.members === undefined) return "outside";
  return component.restoring ? "▲ restoring" : TONE_WORDS[toneOf(component)];
};

/** State, members and, where all is well, the snapshot's age, short enough for a box. */
function stateLine(component: PipelineComponent): string {
  const members = `${count(component.members)} ×`;
  if (toneOf(component) !== "good") return `${stateWords(component)} · ${members}`;
  const { snapshot_age_s } = component;
  return typeof snapshot_age_s === "number" ? `● ${members} · snap ${age(snapshot_age_s)}` : `● runs · ${members}`;
}

function graphOf({ topics, components }: Pipeline) {
  const shown = topics.filter((topic) => !inBox(topic) && !topic.name.endsWith(".dlq"));
  const names = new Set(components.map((component) => component.name));
  const outside = new Set(
    shown.flatMap((topic) => [...topic.writers, ...topic.readers]).filter((name) => !names.has(name)),
  );
  const nodes: Node[] = [
    ...components.map(({ name }) => ({ id: `c:${name}`, kind: "component" as const })),
    ...[...outside].map((name) => ({ id: `c:${name}`, kind: "component" as const })),
    ...shown.map(({ name }) => ({ id: `t:${name}`, kind: "topic" as const })),
  ];
  const keys = new Map<string, Edge>();
  const add = (from: string, to: string) => keys.set(`${from}>${to}`, [from, to]);
  for (const topic of shown) {
    for (const writer of topic.writers) add(`c:${writer}`, `t:${topic.name}`);
    for (const reader of topic.readers) add(`t:${topic.name}`, `c:${reader}`);
  }
  for (const component of components) {
    for (const input of component.inputs) add(`t:${input}`, `c:${component.name}`);
    for (const output of component.outputs) add(`c:${component.name}`, `t:${output}`);
  }
  return layout(nodes, [...keys.values()]);
}

function Drawing({ now }: { now: Pipeline }) {
  const graph = graphOf(now);
  const width = graph.layers * (BOX_WIDE + GAP_X) - GAP_X + 2 * EDGE;
  const height = graph.rows * (BOX_HIGH + GAP_Y) - GAP_Y + 2 * EDGE + 24;
  const at = new Map(graph.nodes.map((node) => [node.id, corner(node)]));
  const topics = new Map(now.topics.map((topic) => [topic.name, topic]));
  const components = new Map(now.components.map((component) => [component.name, component]));
  const dead = new Map(now.dead_letters.map(({ topic, records }) => [topic.replace(/\.dlq$/, ""), records]));
  return (
    <section class="panel drawing" aria-label="Topology">
      <div
        class="scroll"
        tabIndex={0}
        role="region"
        aria-label="Drawing of the topology, figures are in the tables below"
      >
        <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={inWords(now)}>
          {graph.edges.map(({ from, to, back }) => {
            const [a, b] = [at.get(from), at.get(to)];
            if (!a || !b) return null;
            const passed = (graph.waypoints.get(from) ?? []).map(corner).filter((spot) => spot.x < b.x);
            const path = back ? around(a, b, height) : across([a, ...passed, b]);
            return <path key={`${from}>${to}`} d={path} class={back ? "edge back" : "edge"} />;
          })}
          {graph.nodes.map((node) => {
            const name = node.id.slice(2);
            const place = at.get(node.id) ?? { x: 0, y: 0 };
            return node.kind === "topic" ? (
              <TopicBox key={node.id} {...place} name={name} topic={topics.get(name)} dead={dead.get(name) ?? 0} />
            ) : (
              <ComponentBox key={node.id} {...place} name={name} component={components.get(name)} />
            );
          })}
        </svg>
      </div>
    </section>
  );
}

const corner = ({ layer, row }: Spot) => ({
  x: EDGE + layer * (BOX_WIDE + GAP_X),
  y: EDGE + row * (BOX_HIGH + GAP_Y),
});
type Corner = { x: number; y: number };

/** From box to box, straight over the waypoints in between, bending in the gaps. */
function across(spots: readonly Corner[]): string {
  let path = "";
  spots.forEach(({ x, y: top }, index) => {
    const y = top + BOX_HIGH / 2;
    const before = spots[index - 1];
    if (before) {
      const [x0, y0] = [before.x + BOX_WIDE, before.y + BOX_HIGH / 2];
      path += ` C${x0 + GAP_X / 2},${y0} ${x - GAP_X / 2},${y} ${x},${y}`;
    }
    const last = index === spots.length - 1;
    if (index === 0) path += `M${x + BOX_WIDE},${y}`;
    else if (!last) path += ` H${x + BOX_WIDE}`;
  });
  return path;
}

/** Feedback runs in the gap down, below the drawing, and up in the gap before its target. */
function around(a: Corner, b: Corner, height: number): string {
  const [y1, y2, bottom] = [a.y + BOX_HIGH / 2 + 10, b.y + BOX_HIGH / 2 + 10, height - 10];
  return `M${a.x + BOX_WIDE},${y1} H${a.x + BOX_WIDE + GAP_X / 3} V${bottom} H${b.x - GAP_X / 3} V${y2} H${b.x}`;
}

function inWords(now: Pipeline): string {
  const slow = now.components.filter((component) => toneOf(component) !== "good").map(({ name }) => name);
  const state = slow.length > 0 ? `Behind or stopped: ${slow.join(", ")}.` : "All components run.";
  return `${now.components.length} components and ${now.topics.length} topics. ${state}`;
}

const clip = (text: string) => (text.length > 21 ? `${text.slice(0, 20)}…` : text);

function TopicBox({
  x,
  y,
  name,
  topic,
  dead,
}: Corner & { name: string; topic: PipelineTopic | undefined; dead: number }) {
  return (
    <g class="node topic" transform={`translate(${x},${y})`}>
      <title>{name}</title>
      <rect width={BOX_WIDE} height={BOX_HIGH} rx={BOX_HIGH / 2} />
      <text x={BOX_WIDE / 2} y={24} class="name">
        {clip(name)}
      </text>
      <text x={BOX_WIDE / 2} y={42} class="figure">
        {topic ? `${rate(topic.rate)} · ${about(topic.records)}` : "–"}
      </text>
      {dead > 0 ? (
        <text x={BOX_WIDE / 2} y={55} class="figure bad">
          ✕ {count(dead)} dead
        </text>
      ) : null}
    </g>
  );
}

function ComponentBox({ x, y, name, component }: Corner & { name: string; component: PipelineComponent | undefined }) {
  const tone = component ? toneOf(component) : "good";
  const measured = component?.members !== null && component?.members !== undefined;
  return (
    <g class={`node component ${measured ? tone : "outside"}`} transform={`translate(${x},${y})`}>
      <title>{name}</title>
      <rect width={BOX_WIDE} height={BOX_HIGH} rx={4} />
      <rect width={4} height={BOX_HIGH} class="stripe" />
      <text x={14} y={20} class="name left">
        {clip(name)}
      </text>
      <text x={14} y={36} class="figure left">
        {measured && component
          ? `${rate(component.rate)} · lag ${about(component.lag)}`
          : (component?.kind ?? "outside")}
      </text>
      {measured && component ? (
        <text x={14} y={50} class={`figure left ${tone}`}>
          {stateLine(component)}
        </text>
      ) : null}
    </g>
  );
}

function Components({ rows }: { rows: PipelineComponent[] }) {
  return (
    <section class="panel card wide" aria-labelledby="components-title">
      <h2 id="components-title">Components</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Figures of components">
        <table data-testid="components">
          <thead>
            <tr>
              <th>Name</th>
              <th>Kind</th>
              <th>State</th>
              <th class="r">Rate</th>
              <th class="r">Lag</th>
              <th class="r">Members</th>
              <th class="r">Lanes</th>
              <th class="r">Snapshot age</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.name}>
                <td>{row.name}</td>
                <td class="dim">{row.kind}</td>
                <td class={row.members === null || row.members === undefined ? "dim" : `tone ${toneOf(row)}`}>
                  {stateWords(row)}
                </td>
                <td class="num r">{rate(row.rate)}</td>
                <td class="num r">{count(row.lag)}</td>
                <td class="num r">{count(row.members)}</td>
                <td class="num r">{count(row.lanes)}</td>
                <td class="num r">
                  {row.snapshot_age_s === null || row.snapshot_age_s === undefined ? "–" : age(row.snapshot_age_s)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function DeadLetters({ rows }: { rows: Pipeline["dead_letters"] }) {
  const some = rows.filter((row) => row.records > 0);
  return (
    <section class="panel card" aria-labelledby="dead-title">
      <h2 id="dead-title">Dead letters</h2>
      {some.length === 0 ? (
        <Empty title="No dead letters">Every record could be read.</Empty>
      ) : (
        <table>
          <thead>
            <tr>
              <th>Topic</th>
              <th class="r">Records</th>
            </tr>
          </thead>
          <tbody>
            {some.map((row) => (
              <tr key={row.topic}>
                <td>{row.topic}</td>
                <td class="num r tone bad">✕ {count(row.records)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Topics({ rows }: { rows: PipelineTopic[] }) {
  return (
    <section class="panel card" aria-labelledby="topics-title">
      <h2 id="topics-title">Topics</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Figures of topics">
        <table data-testid="topics">
          <thead>
            <tr>
              <th>Name</th>
              <th class="r">Rate</th>
              <th class="r">Records</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.name}>
                <td>{row.name}</td>
                <td class="num r">{rate(row.rate)}</td>
                <td class="num r">{count(row.records)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
