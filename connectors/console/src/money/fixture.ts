/** An instrument for tests. */
import { readInstrument, type Instrument, type InstrumentWire } from "../api/types";

const ABC: InstrumentWire = {
  symbol: "ABC-USD",
  base_asset: "ABC",
  quote_asset: "USD",
  tick_size: "0.01",
  lot_size: "1",
  min_quantity: "1",
  max_quantity: "1000",
  min_notional: "5",
  max_notional: "10000",
  reference_price: "20",
  collar_ppm: 500_000,
  maker_fee_ppm: 100,
  taker_fee_ppm: 250,
  status: "open",
};

export const instrument = (change: Partial<InstrumentWire> = {}): Instrument => readInstrument({ ...ABC, ...change });
