/**
 * The shapes that the gateway sends and takes. Amounts are decimal strings and ids strings here; `Instrument` is the
 * one that is read into units at once, since the order form computes with it.
 */
import { units, type Units } from "../money/units";

export type Side = "buy" | "sell";
export type OrderType = "limit" | "market" | "stop" | "stop_limit";
export type TimeInForce = "gtc" | "day" | "gtd" | "ioc" | "fok";
export type SelfTradePrevention = "cancel_newest" | "cancel_oldest" | "cancel_both" | "decrement_and_cancel";
export type OrderStatus =
  "pending" | "open" | "waiting" | "partly_filled" | "filled" | "cancelled" | "expired" | "rejected";
export type Interval = "1s" | "1m" | "5m" | "1h" | "1d";
export const INTERVALS: readonly Interval[] = ["1s", "1m", "5m", "1h", "1d"];

/** RFC 9457 fields. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code: string;
  field?: string;
  retry_after_s?: number;
}

export interface User {
  user_id: string;
  account: string;
  login: string;
  display_name?: string | null;
  roles: string[];
}

export interface SessionAnswer {
  access_token: string;
  token_type: string;
  expires_in_s: number;
  user: User;
}

export interface SecondFactor {
  challenge: string;
  public_key: RequestOptionsWire;
}

/** WebAuthn options as JSON: binary fields are base64url. */
export interface RequestOptionsWire {
  challenge: string;
  rpId?: string;
  timeout?: number;
  userVerification?: UserVerificationRequirement;
  allowCredentials?: { id: string; type: "public-key"; transports?: AuthenticatorTransport[] }[];
}
export interface CreationOptionsWire {
  challenge: string;
  rp: { id?: string; name: string };
  user: { id: string; name: string; displayName: string };
  pubKeyCredParams: { type: "public-key"; alg: number }[];
  timeout?: number;
  attestation?: AttestationConveyancePreference;
  authenticatorSelection?: AuthenticatorSelectionCriteria;
  excludeCredentials?: { id: string; type: "public-key"; transports?: AuthenticatorTransport[] }[];
}

export interface Passkey {
  id: string;
  label: string;
  created_ms: number;
}
export interface Me extends User {
  passkeys: Passkey[];
  second_factor_age_s?: number | null;
}

export type Scope = "read" | "trade" | "withdraw";
export interface ApiKey {
  key_id: string;
  label: string;
  scopes: Scope[];
  created_ms?: number;
  expires_ms?: number;
  last_used_ms?: number | null;
}
export interface NewApiKey extends ApiKey {
  api_key: string;
}

export interface InstrumentWire {
  symbol: string;
  base_asset: string;
  quote_asset: string;
  tick_size: string;
  lot_size: string;
  min_quantity: string;
  max_quantity: string;
  min_notional: string;
  max_notional: string;
  reference_price: string;
  collar_ppm: number;
  maker_fee_ppm: number;
  taker_fee_ppm: number;
  status: string;
}
export interface Instrument {
  symbol: string;
  base_asset: string;
  quote_asset: string;
  tick_size: Units;
  lot_size: Units;
  min_quantity: Units;
  max_quantity: Units;
  min_notional: Units;
  max_notional: Units;
  reference_price: Units;
  collar_ppm: number;
  maker_fee_ppm: number;
  taker_fee_ppm: number;
  status: string;
}

/** Reads the amounts of an instrument. */
export function readInstrument(from: InstrumentWire): Instrument {
  return {
    ...from,
    tick_size: units(from.tick_size),
    lot_size: units(from.lot_size),
    min_quantity: units(from.min_quantity),
    max_quantity: units(from.max_quantity),
    min_notional: units(from.min_notional),
    max_notional: units(from.max_notional),
    reference_price: units(from.reference_price),
  };
}

export interface PlaceOrder {
  client_order_id: string;
  instrument: string;
  side: Side;
  type: OrderType;
  quantity: string;
  price?: string;
  stop_price?: string;
  time_in_force?: TimeInForce;
  expires_at_ms?: number;
  post_only?: boolean;
  display_quantity?: string;
  self_trade_prevention?: SelfTradePrevention;
}
export interface Placed {
  order_id: string;
  client_order_id: string;
  status: string;
  position: string;
}
export interface Commanded {
  command_id: string;
  client_order_id?: string;
  position: string;
}

/** A rejected order comes without its terms: the exchange keeps none of what it refused. */
export interface Order {
  order_id: string | null;
  client_order_id: string;
  instrument: string | null;
  side: Side | null;
  type: OrderType | null;
  time_in_force?: TimeInForce | null;
  price?: string | null;
  stop_price?: string | null;
  quantity: string | null;
  filled: string;
  leaves: string;
  status: OrderStatus;
  reason?: string | null;
  text?: string | null;
  updated_ms: number;
}
export interface Fill {
  trade_id: string;
  order_id: string;
  /** Absent where the gateway does not know the trade's orders any more. */
  client_order_id?: string | null;
  instrument: string;
  side: Side;
  liquidity: "maker" | "taker";
  price: string;
  quantity: string;
  notional: string;
  fee: string;
  fee_asset?: string | null;
  traded_ms: number;
}
export interface Balance {
  asset: string;
  available: string;
  reserved: string;
  total?: string;
}

export interface Trade {
  trade_id: string;
  price: string;
  quantity: string;
  taker_side: Side;
  traded_ms: number;
}
export interface Candle {
  bucket_ms: number;
  open: string;
  high: string;
  low: string;
  close: string;
  volume: string;
  trades: number;
}
export interface Ticker {
  instrument: string;
  last?: string | null;
  bid?: string | null;
  bid_quantity?: string | null;
  ask?: string | null;
  ask_quantity?: string | null;
  open_24h?: string | null;
  high_24h?: string | null;
  low_24h?: string | null;
  volume_24h: string;
  trades_24h: number;
}

export interface Analytics {
  volume: { minute_ms: number; instrument: string; volume: string; notional: string; trades: number }[];
  fill_ratio: { instrument: string; orders: number; filled: number; ratio: number | string }[];
  latency: { stage: string; p50_ms: number; p99_ms: number; max_ms: number }[];
  rejects: { reason: string; rejects: number }[];
}

export interface PipelineTopic {
  name: string;
  records: number;
  rate: number;
  writers: string[];
  readers: string[];
}
export interface PipelineComponent {
  name: string;
  kind: string;
  inputs: string[];
  outputs: string[];
  lag?: number | null;
  rate?: number | null;
  lanes?: number | null;
  members?: number | null;
  snapshot_age_s?: number | null;
  restoring?: boolean | null;
}
export interface Pipeline {
  at_ms: number;
  topics: PipelineTopic[];
  components: PipelineComponent[];
  dead_letters: { topic: string; records: number }[];
}

// ---- WebSocket ----

export type DepthLevels = 10 | 50 | "full";
export interface DepthMessage {
  type: "depth";
  instrument: string;
  kind: "snapshot" | "delta";
  levels: DepthLevels;
  sequence: number;
  previous?: number;
  bids: [string, string][];
  asks: [string, string][];
  checksum: number;
  time_ms: number;
}
export interface TradeMessage {
  type: "trade";
  instrument: string;
  trade_id: string;
  price: string;
  quantity: string;
  taker_side: Side;
  sequence: number;
  time_ms: number;
}
export interface CandleMessage extends Candle {
  type: "candle";
  instrument: string;
  interval: Interval;
}
export interface TickerMessage extends Ticker {
  type: "ticker";
}
export interface StatusMessage extends Partial<InstrumentWire> {
  type: "status";
  instrument: string;
  status: string;
}
export type OrderEventKind =
  | "pending"
  | "accepted"
  | "rejected"
  | "traded"
  | "amended"
  | "triggered"
  | "cancelled"
  | "expired"
  | "refused"
  | "transferred";
export interface OrderMessage {
  type: "order";
  sequence: number;
  position: string;
  event: OrderEventKind;
  order?: Order | null;
  reason?: string | null;
  text?: string | null;
  client_order_id: string;
  time_ms: number;
}
export interface FillMessage extends Fill {
  type: "fill";
  sequence: number;
  position: string;
  time_ms: number;
}
export interface BalanceMessage extends Balance {
  type: "balance";
  sequence: number;
  position: string;
  time_ms: number;
}
export interface AccountMessage {
  type: "account";
  orders: Order[];
  balances: Balance[];
  sequence: number;
  position: string;
  resync?: boolean;
}
export interface PipelineMessage extends Pipeline {
  type: "pipeline";
}
export type PrivateMessage = OrderMessage | FillMessage | BalanceMessage | AccountMessage;
export type ServerMessage =
  | DepthMessage
  | TradeMessage
  | CandleMessage
  | TickerMessage
  | StatusMessage
  | PipelineMessage
  | PrivateMessage
  | { type: "ack"; id: number }
  | { type: "error"; id?: number; problem: Problem }
  | { type: "pong"; id?: number }
  | { type: "auth_expiring"; in_s: number };
